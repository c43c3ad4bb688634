"""What a container runs to become a node, with a `cluster` that tells how it was called."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.deploy.files import DEPLOY

SCRIPT = DEPLOY / "docker" / "join-or-return"
LINE = "cluster join 10.0.0.1:8469 --token gc1.a.b.c\n"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    program = tmp_path / "bin" / "cluster"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@"\n[ $# -eq 1 ] || cat\n')
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}", "XDG_STATE_HOME": str(tmp_path / "state")}


def start(environment: dict[str, str], file: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["sh", str(SCRIPT), "head:8469", str(file)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("line", [LINE, "gc1.a.b.c\n"], ids=["the whole line", "the string"])
def test_it_joins_with_the_string_which_no_command_line_shows(
    line: str, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "join").write_text(line)
    out, _ = start(environment, tmp_path / "join").communicate(timeout=30)
    assert out == "join head:8469 --token -\ngc1.a.b.c\n"


def test_it_waits_for_the_string(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "join").touch()
    running = start(environment, tmp_path / "join")
    assert running.stderr is not None
    assert "waiting" in running.stderr.readline()
    time.sleep(0.1)
    assert running.poll() is None
    (tmp_path / "join").write_text(LINE)
    out, _ = running.communicate(timeout=30)
    assert out == "join head:8469 --token -\ngc1.a.b.c\n"


def test_a_member_comes_back_without_one(environment: dict[str, str], tmp_path: Path) -> None:
    record = tmp_path / "state" / "ggml-cluster" / "node.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    out, _ = start(environment, tmp_path / "nothing").communicate(timeout=30)
    assert out == "join\n"

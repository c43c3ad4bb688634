"""What is known of who repairs a cluster, without Ray."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.node.processes import start_ticks
from cluster.node.supervision import FILE, Supervision, read_supervision, repairs_told, write_supervision

HERE = Supervision(os.getpid(), start_ticks(os.getpid()) or 0)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    return folder


def test_what_was_written_is_read(run_folder: Path) -> None:
    assert read_supervision(run_folder) is None
    for found in (HERE, replace(HERE, given_up="gave up after 8 repairs in a row: it died; run cluster up")):
        write_supervision(run_folder, found)
        assert read_supervision(run_folder) == found
    assert (run_folder / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "[]", '{"pid": 1}', '{"pid": 1, "start_ticks": 2, "given_up": "", "more": 3}'])
def test_what_cannot_be_read_is_nobody(text: str, run_folder: Path) -> None:
    (run_folder / FILE).write_text(text)
    (run_folder / FILE).chmod(0o600)
    assert read_supervision(run_folder) is None


def test_who_died_repairs_nothing() -> None:
    assert HERE.is_at_work
    assert not replace(HERE, start_ticks=1).lives
    assert replace(HERE, given_up="why").lives
    assert not replace(HERE, given_up="why").is_at_work


def test_what_people_are_told(run_folder: Path) -> None:
    assert repairs_told(run_folder) is None
    write_supervision(run_folder, replace(HERE, start_ticks=1))
    assert repairs_told(run_folder) is None
    write_supervision(run_folder, HERE)
    assert "being repaired" in str(repairs_told(run_folder))
    write_supervision(run_folder, replace(HERE, given_up="gave up"))
    assert repairs_told(run_folder) == "gave up"

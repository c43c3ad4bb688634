"""A secret that was given as an argument is not to be seen among the arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.api.errors import UsageError
from cluster.cli.hidden import MAX_BYTES, hide, read_given

# In the place of the command: the new program would be `python -m cluster`, whose verb prints what it sees.
PROGRAM = """
import os, sys
from cluster.cli import hidden
exec_ = os.execv
os.execv = lambda path, arguments: exec_(path, [path, __file__, *arguments[4:]])
hidden.hide("--token", sys.argv[1:])
print(open("/proc/self/cmdline").read().split(chr(0)))
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--token")
print([hidden.read_given("--token", parser.parse_known_args()[0].token)])
"""


@pytest.mark.parametrize(
    "given", [("--token", "gc1.s3cret"), ("--token=gc1.s3cret",), ("a", "--token", "gc1.s3cret", "b")]
)
def test_it_is_taken_out_of_sight(given: tuple[str, ...], tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    command = [sys.executable, str(program), *given]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    seen, values = done.stdout.splitlines()
    assert "s3cret" not in seen
    assert values == "['gc1.s3cret']"


def test_what_is_no_secret_stays(tmp_path: Path) -> None:
    for arguments in ([], ["--token"], ["--token", "-"], ["--token", "@file"], ["--token=@file"], ["--other", "x"]):
        hide("--token", arguments)


def test_where_it_is_read_from(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("gc1.x\n")
    assert read_given("--token", f"@{file}") == "gc1.x"
    assert read_given("--token", " gc1.x ") == "gc1.x"


@pytest.mark.parametrize("content", ["", "\n", "x" * (MAX_BYTES + 1)])
def test_what_can_be_none_is_refused_without_being_repeated(content: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    with pytest.raises(UsageError, match=r"^--token: nothing, or too much"):
        read_given("--token", f"@{file}")
    with pytest.raises(UsageError, match=r"^--token: .*No such file"):
        read_given("--token", f"@{tmp_path}/none")

"""Ctrl-C at any moment of a command: one line or nothing, exit code 130, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.node.processes import run_state

# Interrupts itself when the named module is about to be imported; a second time right behind that if asked to.
AT_IMPORT = """
import os, signal, sys
wanted, times = sys.argv.pop(1), int(sys.argv.pop(1))
def hook(event, arguments):
    if event == "import" and arguments[0] == wanted:
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
from cluster.cli.entry import main
sys.addaudithook(hook)
sys.exit(main())
"""
SAID = "cluster: interrupted\n"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    folders = {name: str(tmp_path / name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "TMPDIR")}
    (tmp_path / "TMPDIR").mkdir()
    return {**os.environ, **folders}


def interrupted_at(module: str, times: int, verb: list[str], environment: dict[str, str]) -> tuple[int, str]:
    command = [sys.executable, "-c", AT_IMPORT, module, str(times), *verb]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("module", "verb"),
    [
        ("cluster.cli.command", ["status"]),
        ("argparse", ["status"]),
        ("cluster.client.sync", ["status"]),
        ("datetime", ["status"]),  # numpy's C code imports it, and takes an interrupt for an installation without it
        ("grpc._cython.cygrpc", ["status"]),
        ("google.protobuf", ["run", "Once"]),
        ("cluster.planning", ["up", "--demo"]),
        ("worker_native.probe", ["plan", "--demo"]),
        ("cluster.doctor.run", ["doctor"]),
    ],
)
def test_while_modules_are_loaded(module: str, verb: list[str], environment: dict[str, str]) -> None:
    assert interrupted_at(module, 1, verb, environment) == (130, SAID)
    assert os.listdir(environment["TMPDIR"]) == []


def test_a_second_time_does_not_wait_for_the_import(environment: dict[str, str]) -> None:
    assert interrupted_at("argparse", 2, ["status"], environment) == (130, SAID)


def test_one_that_python_swallows_is_heard_after_it() -> None:
    """A finaliser runs while the signal comes, and what it raises is not passed on."""
    script = """
import os, signal, sys
import cluster.cli.command
class Finalised:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        os.getpid()
def run():
    Finalised()
    while True:
        os.getpid()
cluster.cli.command.main = run
from cluster.cli.entry import main
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, SAID)


def test_after_the_work_is_done_it_ends_at_once_without_a_word(environment: dict[str, str]) -> None:
    script = """
import atexit, os, signal, sys
import cluster.cli.command
cluster.cli.command.main = lambda: 0
from cluster.cli.entry import main
atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, "")


def test_one_that_is_ignored_stays_ignored(environment: dict[str, str]) -> None:
    """So a shell starts what it runs in the background."""
    script = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)" + AT_IMPORT
    command = [sys.executable, "-c", script, "argparse", "1", "cache", "ls"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_children_that_measure_end_too_and_leave_no_file(environment: dict[str, str]) -> None:
    """A terminal sends it to all processes of the command."""
    command = [sys.executable, "-m", "cluster", "plan", "--demo"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while not (children := children_of(process.pid)):
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", SAID)
    deadline = time.monotonic() + 20
    while any(map(run_state, children)):
        assert time.monotonic() < deadline, "a child lives on"
        time.sleep(0.01)
    assert os.listdir(environment["TMPDIR"]) == []


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

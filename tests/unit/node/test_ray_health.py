"""The death of a process of Ray is seen in the system's own books."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cluster.node.processes import MARK, end_marked, marked_pids, members, run_state, start_ticks
from cluster.node.ray_health import RayProcess, answers, find_ray_processes, ray_trouble

INSTANCE = f"ray-health-{os.getpid()}"
# Named as Ray's GCS, with the mark; its child drops the mark, as a process that changes its title may.
NAMED = """
import pathlib, subprocess, sys
pathlib.Path("/proc/self/comm").write_text("gcs_server")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={})
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def processes() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that looks like Ray's GCS, and the pid of its child."""
    command = [sys.executable, "-c", NAMED]
    environment = {**os.environ, MARK: INSTANCE}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        yield process, child
        process.kill()
        if start_ticks(child) is not None:
            os.kill(child, signal.SIGKILL)


def test_a_dead_and_a_stopped_process_are_named(processes: tuple[subprocess.Popen[str], int]) -> None:
    process, _ = processes
    found = find_ray_processes(INSTANCE)
    assert [(kind, pid) for kind, pid, _ in found] == [("GCS", process.pid)]
    assert ray_trouble(found) is None
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    assert run_state(process.pid) == "T"
    assert ray_trouble(found) == (
        f"Ray's GCS (process {process.pid}) was stopped; continue it with: kill -CONT {process.pid}"
    )
    process.send_signal(signal.SIGCONT)
    os.waitpid(process.pid, os.WCONTINUED)
    assert ray_trouble(found) is None
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert ray_trouble(found) == f"Ray's GCS (process {process.pid}) is dead"  # a zombie, which nobody waited for


def test_another_process_of_the_same_pid_is_not_it(processes: tuple[subprocess.Popen[str], int]) -> None:
    process, _ = processes
    ticks = start_ticks(process.pid)
    assert ticks is not None
    later = RayProcess("raylet", process.pid, ticks - 1)
    assert ray_trouble([later]) == f"Ray's raylet (process {process.pid}) is dead"


def test_what_is_left_without_a_mark_is_ended(processes: tuple[subprocess.Popen[str], int]) -> None:
    """The marked one is dead, and only the session of another that was known leads to what is left."""
    process, child = processes
    ticks = start_ticks(child)
    assert ticks is not None
    assert members(INSTANCE) == tuple(sorted([(process.pid, start_ticks(process.pid)), (child, ticks)]))
    process.kill()
    process.wait()
    assert marked_pids(INSTANCE) == []
    assert end_marked(INSTANCE, [(child, ticks - 1)]) == 0
    assert start_ticks(child) == ticks
    assert end_marked(INSTANCE, [(process.pid, 1), (child, ticks)]) == 1
    assert start_ticks(child) is None


@pytest.mark.parametrize("address", ["", "host", ":", "127.0.0.1:x", "127.0.0.1:99999", "127.0.0.1:1"])
def test_what_does_not_answer(address: str) -> None:
    assert not answers(address)

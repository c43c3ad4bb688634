"""The state file and its lock survive what users and crashes do to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.api.errors import ClusterError
from cluster.node.processes import MARK, end_marked, end_process, marked_pids, rss_bytes, start_ticks
from cluster.node.ray_health import RayProcess
from cluster.node.state import ClusterState, read_address, read_state, remove_state, state_path, write_state
from cluster.node.state_lock import repair_lock, state_lock
from tests.other_user import OTHER_UID, needs_other_user

SLEEPER = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def make_state(**changes: object) -> ClusterState:
    fields: dict[str, object] = {
        "instance": "abc",
        "ray_address": "127.0.0.1:1",
        "ray_namespace": "n",
        "owns_ray": True,
        "run_folder": "/tmp/x",
        "address": "",
        "ready": False,
        "config": {"model": "m"},
    }
    return ClusterState(**(fields | changes))  # type: ignore[arg-type]


def test_round_trip() -> None:
    assert read_state() is None
    assert read_address() is None
    write_state(make_state(address="127.0.0.1:9"))
    assert read_state() == make_state(address="127.0.0.1:9")
    assert read_address() == "127.0.0.1:9"
    assert state_path().stat().st_mode & 0o077 == 0
    remove_state()
    remove_state()
    assert read_state() is None
    assert os.listdir(state_path().parent) == []


def test_placement_and_processes_survive_the_round_trip() -> None:
    kept = make_state(bounds=(0, 3, 8), ray_processes=(RayProcess("GCS", 7, 9),), members=((7, 9), (8, 9)))
    write_state(kept)
    assert read_state() == kept


def test_a_folder_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(ClusterError, match=r"file/ggml-cluster: Not a directory; .*XDG_STATE_HOME"):
        write_state(make_state())
    with pytest.raises(ClusterError, match="XDG_STATE_HOME"), state_lock():
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 1}', '{"version": 99}', "\x00"])
def test_a_damaged_file_is_named(text: str) -> None:
    state_path().parent.mkdir(parents=True)
    state_path().write_text(text)
    with pytest.raises(ClusterError, match=r"cluster\.json"):
        read_state()


@needs_other_user
@pytest.mark.parametrize("owned", ["cluster.json", "cluster.lock", "."])
def test_what_another_user_planted_is_refused(owned: str) -> None:
    """A planted state would lead prompts to a stranger's port, and `down` to a folder of their choice."""
    write_state(make_state())
    with state_lock():
        pass
    os.chown(state_path().parent / owned, OTHER_UID, OTHER_UID)
    try:
        with pytest.raises(ClusterError, match=f"belongs to another user \\(uid {OTHER_UID}\\)"), state_lock():
            read_state()
    finally:
        os.chown(state_path().parent / owned, 0, 0)


def test_a_lock_is_no_link_and_only_we_may_hold_it(tmp_path: Path) -> None:
    with state_lock():
        pass
    lock = state_path().with_suffix(".lock")
    lock.chmod(0o644)
    with state_lock():
        assert lock.stat().st_mode & 0o777 == 0o600
    lock.unlink()
    lock.symlink_to(tmp_path / "precious")
    with pytest.raises(ClusterError, match=r"cluster\.lock"), state_lock():
        pass
    assert not (tmp_path / "precious").exists()


def test_a_state_that_never_ends_is_a_damaged_one() -> None:
    write_state(make_state())
    state_path().write_text("[" * 100_000)
    with pytest.raises(ClusterError, match=r"cluster\.json: not a cluster state file"):
        read_state()


def test_the_lock_excludes_and_can_be_taken_over() -> None:
    script = """
from cluster.node.state_lock import state_lock
import time
with state_lock():
    print("held", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ClusterError, match="at work"), state_lock():
            pass
        with state_lock(end_holder=True):
            assert holder.wait(timeout=5) == -signal.SIGTERM
    with state_lock():
        pass


def test_a_repair_leaves_the_lock_to_commands_and_is_waited_for() -> None:
    told: list[str] = []
    with state_lock(), repair_lock() as is_ours:
        assert not is_ours
    script = """
from cluster.node.state_lock import repair_lock
import sys
with repair_lock() as is_ours:
    print(is_ours, flush=True)
    sys.stdin.readline()
print("over", flush=True)
sys.stdin.readline()
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as repair:
        assert repair.stdin is not None
        assert repair.stdout is not None
        assert repair.stdout.readline() == "True\n"

        def end() -> None:
            told.append("waiting")
            assert repair.stdin is not None
            repair.stdin.write("\n")
            repair.stdin.flush()

        with state_lock(waiting=end):
            assert repair.stdout.readline() == "over\n"
        with state_lock(end_holder=True):
            assert repair.poll() is None, "whoever has given the lock back is not ended"
        repair.kill()
    assert told == ["waiting"]


def test_end_marked_ends_children_and_the_stubborn() -> None:
    instance = f"test-end-marked-{os.getpid()}"
    environment = {**os.environ, MARK: instance}
    # A child in the same session that dropped the mark, as a process that changes its title does.
    spawn = f"import subprocess, os; subprocess.Popen({SLEEPER!r}, env={{}}); os.execv({SLEEPER[0]!r}, {SLEEPER!r})"
    with subprocess.Popen([sys.executable, "-c", spawn], env=environment, start_new_session=True) as process:
        deadline = time.monotonic() + 10
        while len(marked_pids(instance)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.3)  # until both ignore SIGTERM
        assert end_marked(instance) == 2
        assert process.wait(timeout=5) == -signal.SIGKILL
    assert marked_pids(instance) == []
    assert end_marked(instance) == 0


def test_end_process_spares_a_later_process_of_the_same_pid() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        ticks = start_ticks(process.pid)
        assert ticks is not None
        assert not end_process(process.pid, ticks + 1)
        assert process.poll() is None
        assert end_process(process.pid, ticks)
        assert process.wait(timeout=5) == -signal.SIGTERM
    assert start_ticks(process.pid) is None
    assert rss_bytes(process.pid) == 0
    assert rss_bytes() > 0

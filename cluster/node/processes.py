"""Finding and ending the processes of one cluster, by a mark they inherit in their environment (Linux)."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

MARK = "_GGML_CLUSTER_INSTANCE"
TERM_GRACE_S = 1.0
KILL_GRACE_S = 5.0


def marked_pids(instance: str) -> list[int]:
    """Every live process but this one that belongs to `instance`: by the mark, or by the session of one that has it.

    A process that changes its title (all of Ray's Python ones do) writes over a part of its environment, and
    the mark may be in that part; but Ray's head is started in a session of its own, which all of them keep.
    """
    return sorted(_members(instance, set()))


def members(instance: str) -> tuple[tuple[int, int], ...]:
    """(pid, start ticks) of every live process of `instance`: they lead to it also where no mark is left."""
    return tuple((pid, ticks) for pid in marked_pids(instance) if (ticks := start_ticks(pid)) is not None)


def end_marked(instance: str, known: Iterable[tuple[int, int]] = ()) -> int:
    """End all processes of `instance`: SIGTERM, then SIGKILL. Returns how many there were.

    Runs until none is left, since a process may start another while it is being ended. `known`: some that were its
    own, (pid, start ticks), for where none is left whose mark can be read.
    """
    seen: set[int] = set()
    # Remembered while members live, as the marked ones may go first.
    sessions = {session for pid, ticks in known if (session := _session(pid, ticks)) is not None} - {os.getsid(0)}
    for sign, grace_s in ((signal.SIGTERM, TERM_GRACE_S), (signal.SIGKILL, KILL_GRACE_S)):
        deadline = time.monotonic() + grace_s
        signalled: set[int] = set()
        while time.monotonic() < deadline:
            pids = _members(instance, sessions)
            if not pids:
                return len(seen)
            for pid in pids - signalled:
                _signal_member(pid, instance, sessions, sign)
            signalled |= pids
            seen |= pids
            time.sleep(0.05)
    return len(seen)


def _session(pid: int, ticks: int) -> int | None:
    """The session of the process that started at `ticks` as `pid`; None if it is gone."""
    fields = _stat(pid)
    return int(fields[3]) if fields is not None and int(fields[19]) == ticks else None


def _members(instance: str, sessions: set[int]) -> set[int]:
    """Pids that carry the mark or are in one of `sessions`, to which the sessions of marked ones are added."""
    session_of = dict(_sessions())
    marked = {pid for pid in session_of if _is_marked(pid, instance)}
    sessions |= {session_of[pid] for pid in marked} - {os.getsid(0)}
    return marked | {pid for pid, session in session_of.items() if session in sessions}


def _sessions() -> Iterator[tuple[int, int]]:
    """(pid, session id) of every live process but this one."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            fields = _stat(int(entry.name))
            if fields is not None:
                yield int(entry.name), int(fields[3])


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on (man 5 proc); None for a process that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else fields


def _is_marked(pid: int, instance: str) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # gone, or not ours to read
        return False
    return f"{MARK}={instance}".encode() in environment.split(b"\0")


def _signal_member(pid: int, instance: str, sessions: set[int], sign: signal.Signals) -> None:
    """Signal `pid` if it still is a member: a pidfd cannot come to mean another process."""
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            fields = _stat(pid)
            if fields is not None and (int(fields[3]) in sessions or _is_marked(pid, instance)):
                signal.pidfd_send_signal(descriptor, sign)
        finally:
            os.close(descriptor)


def start_ticks(pid: int) -> int | None:
    """When `pid` started, in clock ticks since boot; None if it is gone. With the pid it names a process for good."""
    fields = _stat(pid)
    return None if fields is None else int(fields[19])


def run_state(pid: int) -> str:
    """What the kernel says `pid` does: R, S, D, T (stopped by a signal) or t (by a debugger); "" if it is gone."""
    fields = _stat(pid)
    return "" if fields is None else fields[0]


def end_process(pid: int, ticks: int, grace_s: float = 5.0) -> bool:
    """End the process that started at `ticks` as `pid`. False if it was gone already."""
    if start_ticks(pid) != ticks:
        return False
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while start_ticks(pid) == ticks and time.monotonic() < deadline:
            time.sleep(0.05)
        if start_ticks(pid) == ticks:
            os.kill(pid, signal.SIGKILL)
    return True


def rss_bytes(pid: int | None = None) -> int:
    """Resident memory of a process (default: this one), mapped file pages included; 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0

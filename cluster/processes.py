"""Finding and ending the processes of one cluster, by a mark they inherit in their environment (Linux)."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

MARK = "CLUSTER_INSTANCE"
TERM_GRACE_S = 5.0
KILL_GRACE_S = 5.0


def marked_pids(instance: str) -> list[int]:
    """Every live process but this one whose environment at its start held the mark of `instance`."""
    wanted = f"{MARK}={instance}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid() and _is_marked(int(entry.name), wanted):
            found.append(int(entry.name))
    return found


def _is_marked(pid: int, wanted: bytes) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        return wanted in environment.split(b"\0")
    except OSError:  # gone, or not ours to read
        return False


def end_marked(instance: str) -> int:
    """End all processes of `instance`: SIGTERM, then SIGKILL. Returns how many there were.

    Runs until none is left, since a process may start another while it is being ended.
    """
    seen: set[int] = set()
    for sign, grace_s in ((signal.SIGTERM, TERM_GRACE_S), (signal.SIGKILL, KILL_GRACE_S)):
        deadline = time.monotonic() + grace_s
        signalled: set[int] = set()
        while time.monotonic() < deadline:
            pids = marked_pids(instance)
            if not pids:
                return len(seen)
            for pid in set(pids) - signalled:
                _signal_marked(pid, instance, sign)
            signalled.update(pids)
            seen.update(pids)
            time.sleep(0.05)
    return len(seen)


def _signal_marked(pid: int, instance: str, sign: signal.Signals) -> None:
    """Signal `pid` if it still is the marked process: a pidfd cannot come to mean another process."""
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            if _is_marked(pid, f"{MARK}={instance}".encode()):
                signal.pidfd_send_signal(descriptor, sign)
        finally:
            os.close(descriptor)


def start_ticks(pid: int) -> int | None:
    """When `pid` started, in clock ticks since boot; None if it is gone. With the pid it names a process for good."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])


def end_process(pid: int, ticks: int, grace_s: float = TERM_GRACE_S) -> bool:
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

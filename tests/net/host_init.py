"""The first process of a host: arranges what the host sees, then buries orphans until its stdin ends.

The kernel ends every other process of a pid namespace with its first one, and a namespace nobody is in is gone with its
interfaces. So nothing can be left behind, even by a test run that was killed: its end of the pipe closes.
Runs alone (``python -I host_init.py JSON``), as pid 1 of new namespaces.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys

MS_BIND, MS_REC = 4096, 16384
libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str, flags: int = 0) -> None:
    if libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), None) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount {source} on {target}: {os.strerror(code)}")


def bind(descriptor: int, target: str) -> None:
    """Show at `target` what was opened before something else was mounted over its path."""
    mount(f"/proc/self/fd/{descriptor}", target, "none", MS_BIND | MS_REC)


def opened(path: str) -> int:
    return os.open(path, os.O_PATH)


def arrange(disk: str, names: str, visible: list[str]) -> None:
    """`disk` is /tmp, the file `names` is /etc/hosts, and what is `visible` below the old /tmp stays where it was."""
    cgroups, hosts, root = opened("/sys/fs/cgroup"), opened(names), opened(disk)
    kept = [(path, opened(path)) for path in visible]
    # /sys/class/net shows the namespace in which it was mounted; a new one lacks the cgroups, which Ray reads.
    mount("none", "/sys", "sysfs")
    bind(cgroups, "/sys/fs/cgroup")
    bind(hosts, "/etc/hosts")
    bind(root, "/tmp")
    for path, descriptor in kept:
        os.makedirs(path, exist_ok=True)
        bind(descriptor, path)
    mount("none", "/dev/shm", "tmpfs")


def bury(*_: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    wanted = json.loads(sys.argv[1])
    if wanted["name"]:
        socket.sethostname(wanted["name"])
        arrange(wanted["disk"], wanted["names"], wanted["visible"])
    signal.signal(signal.SIGCHLD, bury)
    print("ready", flush=True)
    while os.read(0, 1):
        pass


main()

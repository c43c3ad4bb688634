"""Hangs up on connections that never proved the secret, once there are many: gRPC itself cannot tell them apart.

Its cap on connections keeps the number of open files within bounds, and would keep our own clients out as long as
strangers filled it. So those leave soon, and what they leave is free for whoever comes next.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cluster.wire.transport.channel import port_of

# Our own ends prove the secret with their first call, some milliseconds after they connect.
GRACE_S = 1.0
CHECK_INTERVAL_S = 0.25
# With fewer open files than this nobody is in anybody's way, and nothing is looked at.
MANY_FILES = 200
MAX_ADMITTED = 8192  # remembered connections, most of them closed; then those are looked for


class Strangers:
    """Watches over the connections of the server at one address, from `watch` to `stop`."""

    def __init__(self, most_per_host: int | None = None, grace_s: float = GRACE_S) -> None:
        """`most_per_host`: for a server whose calls strangers may begin.

        So many connections of one address may be theirs, none for longer than `grace_s`, however few files are open.
        """
        self._most_per_host = most_per_host
        self._grace_s = grace_s
        self._admitted: set[str] = set()  # by peer, as gRPC writes it
        self._since_s: dict[str, float] = {}  # when each of the others was first seen
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.port = 0  # where our server listens

    def admit(self, peer: str) -> None:
        """A call over this connection has proved the secret. From any thread."""
        self._admitted.add(peer)

    def watch(self, address: str) -> None:
        """Begin, for the server that listens at `address` from now on."""
        self.port = port_of(address)
        self._thread = threading.Thread(target=self._run, name="wire-strangers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(CHECK_INTERVAL_S):
            is_crowded = len(os.listdir("/proc/self/fd")) > MANY_FILES or len(self._admitted) > MAX_ADMITTED
            if is_crowded or self._most_per_host is not None:
                self._hang_up(time.monotonic())

    def _hang_up(self, now_s: float) -> None:
        seen, admitted_before = set(), self._admitted.copy()
        num_of_host: Counter[str] = Counter()
        for connection, peer in _connections(self.port):
            seen.add(peer)
            if peer in self._admitted:
                continue
            host = peer.rpartition(":")[0]
            num_of_host[host] += 1
            is_late = now_s - self._since_s.setdefault(peer, now_s) > self._grace_s
            if is_late or (self._most_per_host is not None and num_of_host[host] > self._most_per_host):
                with contextlib.suppress(OSError):  # it has left by itself
                    connection.shutdown(socket.SHUT_RDWR)
        self._admitted -= admitted_before - seen
        self._since_s = {peer: since_s for peer, since_s in self._since_s.items() if peer in seen}


def _connections(port: int) -> Iterator[tuple[socket.socket, str]]:
    """Connections that this process accepted at `port`, each as a second handle, with the name of its other end."""
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile, or no connection
            if not os.readlink(path).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(path.name))) as connection:
                if connection.family in (socket.AF_INET, socket.AF_INET6) and connection.getsockname()[1] == port:
                    yield connection, peer_name(*connection.getpeername()[:2])


def peer_name(host: str, port: int) -> str:
    """The other end of a connection, as gRPC names it."""
    host = host.removeprefix("::ffff:")
    return f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"

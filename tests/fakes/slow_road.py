"""A road between two processes of this machine that is longer and narrower than loopback: bytes pass late."""

from __future__ import annotations

import queue
import socket
import threading
import time
from contextlib import suppress

HERE = "127.0.0.2"  # the same port number: proofs of a secret name the port, not the host
CHUNK_BYTES = 1 << 16


class SlowRoad:
    """Forwards connections to 127.0.0.2:PORT to `address`: `delay_s` one way, `bytes_per_s` in each direction."""

    def __init__(self, address: str, delay_s: float, bytes_per_s: float) -> None:
        host, _, port = address.rpartition(":")
        self._target = host, int(port)
        self._delay_s = delay_s
        self._bytes_per_s = bytes_per_s
        self._listening = socket.create_server((HERE, int(port)))
        self._open: list[socket.socket] = [self._listening]
        self.address = f"{HERE}:{port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(self._target)
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open += [near, far]
                self._carry(near, far)
                self._carry(far, near)

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        under_way: queue.Queue[tuple[float, bytes]] = queue.Queue(64)
        threading.Thread(target=self._take, args=(source, under_way), daemon=True).start()
        threading.Thread(target=_deliver, args=(target, under_way), daemon=True).start()

    def _take(self, source: socket.socket, under_way: queue.Queue[tuple[float, bytes]]) -> None:
        free_s = 0.0  # when the road has passed on all that came before
        data = b"."
        while data:
            data = b""
            with suppress(OSError):
                data = source.recv(CHUNK_BYTES)
            free_s = max(free_s, time.monotonic()) + len(data) / self._bytes_per_s
            under_way.put((free_s + self._delay_s, data))


def _deliver(target: socket.socket, under_way: queue.Queue[tuple[float, bytes]]) -> None:
    with suppress(OSError):
        while True:
            due_s, data = under_way.get()
            time.sleep(max(0.0, due_s - time.monotonic()))
            if not data:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(data)

"""A road between two processes of this machine on which things go wrong: late, in crumbs, cut, or into nothing."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

HERE = "127.0.0.2"  # the same port number: proofs of a secret name the port, not the host
CHUNK_BYTES = 1 << 16
SEGMENT_BYTES = 1448  # what TCP puts into a packet of Ethernet's size
SENT_AGAIN_S = 0.2  # the kernel's TCP waits no less for a packet that nothing came behind
PUT_IN_ORDER_S = 0.01


@dataclass
class Trouble:
    """What befalls the bytes that pass from now on; it may be changed at any time."""

    most_bytes: int = 0  # pieces of 1 to so many; 0: as they come
    delay_s: float = 0.0  # one way
    jitter_s: float = 0.0  # more or less than that
    is_black_hole: bool = False  # connections stay open, and nothing passes
    is_one_way: bool = False  # only what comes back is swallowed, by a black hole
    bytes_per_s: float = 0.0  # each way, of each connection; 0: as fast as it goes
    lost: float = 0.0  # share of the packets that are lost: TCP sends them again, and all behind them waits
    swapped: float = 0.0  # share of those that come behind the next one
    chance: random.Random = field(default_factory=lambda: random.Random(0))


class BadRoad:
    """Forwards connections to 127.0.0.2:PORT to `address`."""

    def __init__(self, address: str, trouble: Trouble | None = None) -> None:
        host, _, port = address.rpartition(":")
        self._target = host, int(port)
        self.trouble = trouble or Trouble()
        self.num_connections = 0
        self.num_passed = 0  # bytes
        self._listening = socket.create_server((HERE, int(port)))
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.address = f"{HERE}:{port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self) -> int:
        """Cut all connections with an RST. How many there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for one in pair:
                with suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                _close(one)
        return len(pairs)

    def close(self) -> None:
        _close(self._listening)
        self.reset()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                try:
                    far = socket.create_connection(self._target)
                except OSError:
                    _close(near)
                    continue
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._pairs.append((near, far))
                self.num_connections += 1
                for source, target, comes_back in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self._carry, args=(source, target, comes_back), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, comes_back: bool) -> None:
        trouble = self.trouble
        with suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                while trouble.is_black_hole and (comes_back or not trouble.is_one_way):
                    time.sleep(0.01)  # as a cable that is pulled: it is sent again once that is plugged in
                if trouble.delay_s:
                    time.sleep(max(0.0, trouble.delay_s + trouble.chance.uniform(-1, 1) * trouble.jitter_s))
                time.sleep(_late_s(len(data), trouble))
                for piece in _pieces(data, trouble):
                    target.sendall(piece)
                    self.num_passed += len(piece)
            target.shutdown(socket.SHUT_WR)


def _late_s(num_bytes: int, trouble: Trouble) -> float:
    """How much later than on a good road so many bytes arrive: packets that are lost or overtaken are only late."""
    late_s = num_bytes / trouble.bytes_per_s if trouble.bytes_per_s else 0.0
    for _ in range(-(-num_bytes // SEGMENT_BYTES) if trouble.lost or trouble.swapped else 0):
        drawn = trouble.chance.random()
        if drawn < trouble.lost:
            late_s += SENT_AGAIN_S
        elif drawn < trouble.lost + trouble.swapped:
            late_s += PUT_IN_ORDER_S
    return late_s


def _pieces(data: bytes, trouble: Trouble) -> list[bytes]:
    if not trouble.most_bytes:
        return [data]
    pieces, begin = [], 0
    while begin < len(data):
        end = begin + trouble.chance.randint(1, trouble.most_bytes)
        pieces.append(data[begin:end])
        begin = end
    return pieces


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()

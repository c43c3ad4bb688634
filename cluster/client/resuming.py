"""Calls whose connection broke: whether they are made again, and when. Pure but for the clock that it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import grpc

from cluster.wire.transport.keeping import keeps_requests
from cluster.wire.transport.status import is_broken

# A coordinator that died is there again within some seconds. By reasoning: as long as a person would wait.
RECONNECT_S = 30.0
PAUSE_S = 0.1  # gRPC itself connects no more often than that

IsOpen = Callable[[], bool]


class Keeping:
    """What a client has learnt of its cluster: whether requests outlive the process that answers them."""

    def __init__(self) -> None:
        self.is_known = False

    def learn(self, metadata: Iterable[Any] | None) -> None:
        """Of an answer that has proved the secret."""
        self.is_known = keeps_requests(metadata)


class Resuming:
    """For one call."""

    def __init__(self, keeping: Keeping, is_open: IsOpen | None) -> None:
        """`is_open`: something of the answer is missing; None for a call that cannot be gone on with."""
        self._keeping = keeping
        self._is_open = is_open
        self._until_s: float | None = None

    def received(self) -> None:
        """The call has brought something: if it breaks, all of the time is there again."""
        self._until_s = None

    @property
    def is_whole(self) -> bool:
        """All of the answer was there before the call ended, so that it does not matter how it did."""
        return self._is_open is not None and not self._is_open()

    def pause_s(self, error: grpc.RpcError, now_s: float) -> float | None:
        """How long to wait before the call is made again; None: the error is what became of it."""
        if self._is_open is None or not self._keeping.is_known or not is_broken(error):
            return None
        if self._until_s is None:
            self._until_s = now_s + RECONNECT_S
        return PAUSE_S if now_s < self._until_s else None

"""Calls whose connection broke: whether they are made again, and when. Pure but for the clock that it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from cluster.wire.access.endpoint import Endpoint
from cluster.wire.access.proof import Proof
from cluster.wire.transport.keeping import keeps_requests
from cluster.wire.transport.status import initial_metadata_of, is_broken

if TYPE_CHECKING:
    from cluster.client.calls import Call

# A coordinator that died is there again within some seconds. By reasoning: as long as a person would wait.
RECONNECT_S = 30.0
PAUSE_S = 0.1  # gRPC itself connects no more often than that


class Opened(NamedTuple):
    """A call that was begun. `proof`: what it was made with."""

    messages: Any
    endpoint: Endpoint
    proof: Proof | None


class Keeping:
    """What a client has learnt of its cluster: whether requests outlive the process that answers them."""

    def __init__(self) -> None:
        self.is_known = False

    def learn(self, metadata: Iterable[Any] | None) -> None:
        """Of an answer that has proved the secret."""
        self.is_known = keeps_requests(metadata)


class Resuming:
    """One call, as often as it is made. Nothing of an answer is believed before that has proved the secret, too."""

    def __init__(self, open_call: Callable[[], Opened], keeping: Keeping, call: Call[Any]) -> None:
        """`open_call` makes the call."""
        self._open_call = open_call
        self._keeping = keeping
        self._is_open, self._anew = call.is_open, call.anew
        self._until_s: float | None = None

    def begin(self) -> Any:
        """Make the call. What gRPC has of it."""
        messages, self.endpoint, self._proof = self._open_call()
        return messages

    def begin_again(self) -> Any:
        """Make it once more, so that it goes on where it broke, or from the start."""
        if self._anew is not None:
            self._anew()
        return self.begin()

    @property
    def must_prove(self) -> bool:
        """The answer has not proved the secret yet: `learn` is to be called."""
        return self._proof is not None

    def learn(self, metadata: Iterable[Any] | None) -> None:
        """The initial metadata of the answer. UnauthenticatedError where it does not prove the secret."""
        proof, self._proof = self._proof, None
        if proof is not None:
            proof.check(metadata, f"the cluster at {self.endpoint.address}")
            self._keeping.learn(metadata)

    def received(self) -> None:
        """The call has brought something: if it breaks, all of the time is there again."""
        self._until_s = None

    @property
    def is_whole(self) -> bool:
        """All of the answer was there before the call ended, so that it does not matter how it did."""
        return self._is_open is not None and not self._is_open()

    def pause_s(self, error: grpc.RpcError, now_s: float) -> float | None:
        """How long to wait before the call is made again; None: the error is what became of it."""
        if not is_broken(error):
            return None
        if metadata := initial_metadata_of(error):
            self.learn(metadata)  # it broke before there was anything to read
        if self._is_open is None or not self._keeping.is_known:
            return None
        if self._until_s is None:
            self._until_s = now_s + RECONNECT_S
        return PAUSE_S if now_s < self._until_s else None

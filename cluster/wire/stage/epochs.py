"""Which streams may join a stage: one for each purpose, in the epoch that the stage was wired for, and no other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from cluster.api.errors import CapacityError, HandshakeError, UnauthenticatedError, UsageError
from cluster.messages.stage import Callers, Hello
from cluster.messages.step import StepId
from cluster.wire.codec.hello import check_hello
from cluster.wire.stage.events import TOKENS

# An old stream waits at most for the step that the stage computes now.
_OLD_STREAM_TIMEOUT_S = 30.0
_ANY = Callers()


class StreamEnd:
    """How to end a stream, and the news that its last step was handed over."""

    def __init__(self, cancel: Callable[[], object]) -> None:
        self.cancel = cancel
        self.reached = threading.Event()


class StageEpochs:
    """Guards the epoch of a stage. `begin(hello)` is called when the first stream of one joins.

    A stream cannot bring an epoch with it: which one may begin is told by whoever wires the stages.
    """

    def __init__(self, hello: Hello, begin: Callable[[Hello], None], callers: Callers = _ANY) -> None:
        """`hello`: what the stage is, and the first epoch; `callers`: from which nodes its streams may come."""
        self._own = hello
        self._expected = hello.epoch
        self._callers = callers
        self._begin = begin
        self._has_begun = False
        self._lock = threading.Lock()
        self._upstream: StreamEnd | None = None
        self._watches: dict[str, StreamEnd] = {}  # by purpose

    def expect(self, epoch: int, callers: Callers = _ANY) -> None:
        """Streams may begin `epoch` from now on. HandshakeError unless it is newer than all before."""
        with self._lock:
            if epoch <= self._expected:
                raise HandshakeError(
                    f"epoch: stage {self._own.stage} was wired for epoch {self._expected}, and is told {epoch}; "
                    "wire it for a newer one"
                )
            self._expected, self._callers = epoch, callers

    def check_wirer(self, hello: Hello, caller: str) -> None:
        """HandshakeError if the ends differ or the epoch has passed, UnauthenticatedError for another node's caller."""
        with self._lock:
            self._check_caller("coordinator", self._callers.coordinator, caller)
            check_hello(self._own, hello)

    def join_upstream(self, hello: Hello, stream: StreamEnd, caller: str = "") -> None:
        """HandshakeError if the ends differ, the epoch has passed, or it has had its upstream.

        `caller`: the node that the stream comes from, "" where that is not known; UnauthenticatedError if it is another
        than was wired.

        A second upstream in one epoch is refused even when the first is gone: steps may have been lost with
        it, and only a new epoch starts from a known state.
        """
        with self._lock:
            self._check_caller("upstream", self._callers.upstream, caller)
            self._enter(hello)
            if self._upstream is not None:
                raise HandshakeError(
                    f"hello.epoch: stage {self._own.stage} already had an upstream in epoch {hello.epoch}, "
                    f"its peer sent {hello.epoch} again; connect with a newer epoch"
                )
            self._upstream = stream

    def join_watch(self, hello: Hello, purpose: str, stream: StreamEnd, caller: str = "") -> None:
        """HandshakeError if the ends differ, the epoch has passed, or it has had a watch for that purpose.

        `caller` as for `join_upstream`.
        """
        with self._lock:
            self._check_caller(purpose, self._callers.first if purpose == TOKENS else self._callers.coordinator, caller)
            self._enter(hello)
            if purpose in self._watches:
                raise HandshakeError(
                    f"hello.epoch: stage {self._own.stage} already had one who listens ({purpose}) in epoch "
                    f"{hello.epoch}; connect with a newer epoch"
                )
            self._watches[purpose] = stream

    def _check_caller(self, purpose: str, expected: str, caller: str) -> None:
        if caller and expected and caller != expected:
            raise UnauthenticatedError(
                f"{purpose}: stage {self._own.stage} was wired for one on node {expected}, and {caller} calls; "
                "only the coordinator or cluster up wire it anew"
            )

    def _enter(self, hello: Hello) -> None:
        check_hello(self._own, hello)
        if self._has_begun and hello.epoch == self._own.epoch:
            return
        if hello.epoch != self._expected:
            raise HandshakeError(
                f"hello.epoch: stage {self._own.stage} was wired for epoch {self._expected}, its peer says "
                f"{hello.epoch}; only the coordinator or cluster up begin another"
            )
        self._end_streams()
        self._begin(hello)
        self._own = replace(self._own, epoch=hello.epoch)
        self._has_begun = True

    def _end_streams(self) -> None:
        for watch in self._watches.values():
            watch.cancel()
        self._watches.clear()
        if self._upstream is not None:
            self._upstream.cancel()
            if not self._upstream.reached.wait(_OLD_STREAM_TIMEOUT_S):
                raise CapacityError(
                    f"stage {self._own.stage}: epoch {self._own.epoch} still hands over a step; try again"
                )
            self._upstream = None


class StepOrder:
    """Checks the step numbers of one stream, in which each step follows the one before."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._last: int | None = None

    def is_next(self, step_id: StepId) -> bool:
        """False for a duplicate or an older epoch, which are dropped; UsageError if a step is missing."""
        if step_id.epoch > self._epoch:
            raise UsageError(f"id.epoch: {step_id.epoch} in a stream of epoch {self._epoch}; say Hello first")
        if step_id.epoch < self._epoch or (self._last is not None and step_id.step <= self._last):
            return False
        if self._last is not None and step_id.step != self._last + 1:
            raise UsageError(f"id.step: {step_id.step} after {self._last}; send every step, in order")
        self._last = step_id.step
        return True

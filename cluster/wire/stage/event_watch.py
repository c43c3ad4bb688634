"""The coordinator receives the events of one stage: timings, results, failures, and the news that it died."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from cluster.api.errors import UnreachableError
from cluster.api.status import StageFacts
from cluster.messages.stage import Hello, Holdings, StageFailure
from cluster.wire.access.endpoint import Endpoint, sent_with
from cluster.wire.codec.event import Event, EventAssembly
from cluster.wire.codec.facts import decode_facts, decode_holdings
from cluster.wire.limits import parse
from cluster.wire.stage.stream import HOLD_TIMEOUT_S
from cluster.wire.stage.watch import Watch
from cluster.wire.transport.methods import method_path, serialize
from cluster.wire.transport.status import error_from_call
from protos import stage_pb2

_DESCRIBE = method_path("Stage", "Describe")
_HOLD = method_path("Stage", "Hold")
_COMPILE = method_path("Stage", "Compile")
COMPILE_TIMEOUT_S = 30.0  # the first grammar waits for the stage to look at the whole vocabulary


class EventWatch(Watch[stage_pb2.StageEvent]):
    """Receives the events of the stage at `endpoint` in the epoch of `hello`. See Watch."""

    def __init__(
        self,
        endpoint: Endpoint,
        hello: Hello,
        on_event: Callable[[Event], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._peer = f"stage {hello.stage} at {endpoint.where}"
        self._on_event = on_event
        self._assembly = EventAssembly()
        super().__init__(endpoint, hello, "Watch", stage_pb2.StageEvent, self._take, on_lost)

    def describe(self, timeout_s: float = 2.0) -> StageFacts:
        """What the stage says about itself now; UnreachableError."""
        return self.ask(timeout_s)()

    def ask(self, timeout_s: float = 2.0) -> Callable[[], StageFacts]:
        """Ask without waiting, so that several stages can be asked at once; the answer is got by a call."""
        answer = self._asked(_DESCRIBE, stage_pb2.DescribeRequest(), timeout_s)
        return lambda: decode_facts(parse(stage_pb2.StageFacts, answer()))

    def ask_holdings(self, timeout_s: float = HOLD_TIMEOUT_S) -> Callable[[], Holdings]:
        """The same of what its slots hold as the epoch begins, which it knows once its step before that is over."""
        answer = self._asked(_HOLD, stage_pb2.HoldRequest(epoch=self._hello.epoch), timeout_s)
        return lambda: decode_holdings(parse(stage_pb2.Holdings, answer()))

    def compile(self, grammar: str, timeout_s: float = COMPILE_TIMEOUT_S) -> None:
        """Have the stage, which is the last one, compile a grammar. UsageError if it cannot; UnreachableError."""
        self._asked(_COMPILE, stage_pb2.CompileRequest(grammar=grammar), timeout_s)()

    def _asked(
        self,
        method: str,
        request: stage_pb2.DescribeRequest | stage_pb2.HoldRequest | stage_pb2.CompileRequest,
        timeout_s: float,
    ) -> Callable[[], bytes]:
        proof = self._endpoint.prove(method)
        call = self._channel.unary_unary(method, serialize, bytes)
        try:
            answer = call.future(request, timeout=timeout_s, metadata=sent_with(proof))
        except ValueError as error:  # the channel is closed
            raise self._left() from error

        def said() -> bytes:
            try:
                found: bytes = answer.result()
                if proof is not None:
                    proof.check(answer.initial_metadata(), self._peer)
                return found
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.CANCELLED:  # the channel was closed in the meantime
                    raise self._left() from error
                raise error_from_call(error, self._peer, "its process or the network is gone") from error

        return said

    def _left(self) -> UnreachableError:
        return UnreachableError(f"{self._peer}: not connected any more; ask again")

    def _take(self, message: stage_pb2.StageEvent) -> None:
        for event in self._assembly.add(message):
            epoch = event.epoch if isinstance(event, StageFailure) else event.id.epoch
            if epoch == self._hello.epoch:  # what an older epoch left behind is of no use
                self._on_event(event)

"""The coordinator receives the events of one stage: timings, results, failures, and the news that it died."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from cluster.api.errors import UnreachableError
from cluster.api.status import StageFacts
from cluster.messages.stage import Hello, StageFailure
from cluster.wire.access.endpoint import Endpoint, sent_with
from cluster.wire.codec.event import Event, EventAssembly
from cluster.wire.codec.facts import decode_facts
from cluster.wire.limits import parse
from cluster.wire.stage.watch import Watch
from cluster.wire.transport.methods import method_path, serialize
from cluster.wire.transport.status import error_from_call
from protos import stage_pb2

_DESCRIBE = method_path("Stage", "Describe")


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
        describe = self._channel.unary_unary(_DESCRIBE, serialize, bytes)
        proof = self._endpoint.prove(_DESCRIBE)
        try:
            answer = describe.future(stage_pb2.DescribeRequest(), timeout=timeout_s, metadata=sent_with(proof))
        except ValueError as error:  # the channel is closed
            raise self._left() from error

        def facts() -> StageFacts:
            try:
                said = answer.result()
                if proof is not None:
                    proof.check(answer.initial_metadata(), self._peer)
                return decode_facts(parse(stage_pb2.StageFacts, said))
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.CANCELLED:  # the channel was closed in the meantime
                    raise self._left() from error
                raise error_from_call(error, self._peer, "its process or the network is gone") from error

        return facts

    def _left(self) -> UnreachableError:
        return UnreachableError(f"{self._peer}: not connected any more; ask again")

    def _take(self, message: stage_pb2.StageEvent) -> None:
        for event in self._assembly.add(message):
            epoch = event.epoch if isinstance(event, StageFailure) else event.id.epoch
            if epoch == self._hello.epoch:  # what an older epoch left behind is of no use
                self._on_event(event)

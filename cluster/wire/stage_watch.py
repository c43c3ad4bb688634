"""The coordinator's ear on one stage: its timings, results and failures, and the news that it died."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from cluster.errors import ClusterError, UnreachableError
from cluster.messages import Hello, StageFacts, StageFailure
from cluster.wire.channel import open_channel
from cluster.wire.codec_event import Event, EventAssembly
from cluster.wire.codec_facts import decode_facts
from cluster.wire.codec_hello import encode_hello
from cluster.wire.limits import parse
from cluster.wire.service import method_path, serialize
from cluster.wire.stage_stream import OPEN_TIMEOUT_S, StageStream
from cluster.wire.status import error_from_call
from protos import stage_pb2


class StageWatch:
    """Receives the events of the stage at `address` in the epoch of `hello`.

    `on_event` and, once and not after `close`, `on_lost(reason)` are called on one other thread.
    """

    def __init__(
        self,
        address: str,
        hello: Hello,
        on_event: Callable[[Event], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._peer = f"stage {hello.stage} at {address}"
        self._hello = hello
        self._on_event = on_event
        self._assembly = EventAssembly()
        self._stream = StageStream(address, hello, stage_pb2.StageEvent, self._take, lambda error: on_lost(str(error)))
        self._channel = open_channel(address, single_threaded=True)

    def open(self, timeout_s: float = OPEN_TIMEOUT_S) -> None:
        """Connects. HandshakeError names the field in which the two ends differ; UnreachableError."""
        watch = self._channel.unary_stream(method_path("Stage", "Watch"), serialize, bytes)
        try:
            self._stream.open(watch(encode_hello(self._hello)), timeout_s)
        except ClusterError:
            self.close()
            raise

    def describe(self, timeout_s: float = 2.0) -> StageFacts:
        """What the stage says about itself now; UnreachableError."""
        return self.ask(timeout_s)()

    def ask(self, timeout_s: float = 2.0) -> Callable[[], StageFacts]:
        """Ask without waiting, so that several stages can be asked at once; the answer is got by a call."""
        describe = self._channel.unary_unary(method_path("Stage", "Describe"), serialize, bytes)
        try:
            answer = describe.future(stage_pb2.DescribeRequest(), timeout=timeout_s)
        except ValueError as error:  # the channel is closed
            raise self._left() from error

        def facts() -> StageFacts:
            try:
                return decode_facts(parse(stage_pb2.StageFacts, answer.result()))
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.CANCELLED:  # the channel was closed in the meantime
                    raise self._left() from error
                raise error_from_call(error, self._peer, "its process or the network is gone") from error

        return facts

    def close(self) -> None:
        """Ends the stream, its connection and its threads."""
        self._stream.close()
        self._channel.close()

    def _left(self) -> UnreachableError:
        return UnreachableError(f"{self._peer}: not connected any more; ask again")

    def _take(self, message: stage_pb2.StageEvent) -> None:
        for event in self._assembly.add(message):
            epoch = event.epoch if isinstance(event, StageFailure) else event.id.epoch
            if epoch == self._hello.epoch:  # what an older epoch left behind is of no use
                self._on_event(event)

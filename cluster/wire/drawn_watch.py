"""The first stage's ear on the last one: which tokens it drew, so that the next step can begin at once."""

from __future__ import annotations

from collections.abc import Callable

from cluster.errors import ClusterError
from cluster.messages import DrawnStep, Hello
from cluster.wire.channel import open_channel
from cluster.wire.codec_drawn import decode_drawn
from cluster.wire.codec_hello import encode_hello
from cluster.wire.service import method_path, serialize
from cluster.wire.stage_stream import OPEN_TIMEOUT_S, StageStream
from protos import stage_pb2


class DrawnWatch:
    """Receives what the stage at `address`, the last one, draws in the epoch of `hello`.

    `on_drawn` and, once and not after `close`, `on_lost(reason)` are called on one other thread.
    """

    def __init__(
        self, address: str, hello: Hello, on_drawn: Callable[[DrawnStep], None], on_lost: Callable[[str], None]
    ) -> None:
        self._hello = hello
        self._on_drawn = on_drawn
        self._stream = StageStream(address, hello, stage_pb2.DrawnStep, self._take, lambda error: on_lost(str(error)))
        self._channel = open_channel(address, single_threaded=True)

    def open(self, timeout_s: float = OPEN_TIMEOUT_S) -> None:
        """Connects. HandshakeError names the field in which the two ends differ; UnreachableError."""
        drawn = self._channel.unary_stream(method_path("Stage", "Drawn"), serialize, bytes)
        try:
            self._stream.open(drawn(encode_hello(self._hello)), timeout_s)
        except ClusterError:
            self.close()
            raise

    def close(self) -> None:
        """Ends the stream, its connection and its thread."""
        self._stream.close()
        self._channel.close()

    def _take(self, message: stage_pb2.DrawnStep) -> None:
        self._on_drawn(decode_drawn(message, self._hello.num_slots))

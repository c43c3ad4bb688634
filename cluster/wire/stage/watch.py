"""What all who listen to a stage have in common: one call that begins with Hello, over a connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic

from cluster.api.errors import ClusterError
from cluster.messages.stage import Hello
from cluster.wire.access.endpoint import Endpoint, sent_with
from cluster.wire.codec.hello import encode_hello
from cluster.wire.local.source import Reading
from cluster.wire.stage.stream import OPEN_TIMEOUT_S, Reply, StageStream
from cluster.wire.transport.methods import method_path, serialize


class Watch(Generic[Reply]):
    """Receives the replies of `method` of the stage at `endpoint`, in the epoch of `hello`.

    `on_message` and, once and not after `close`, `on_lost(reason)` are called on one other thread. `reading`: as in
    StageStream.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        hello: Hello,
        method: str,
        kind: type[Reply],
        on_message: Callable[[Reply], None],
        on_lost: Callable[[str], None],
        reading: Reading[Any] | None = None,
    ) -> None:
        self._hello = hello
        self._path = method_path("Stage", method)
        self._endpoint = endpoint
        self._stream: StageStream[Reply] = StageStream(
            endpoint, hello, kind, on_message, lambda error: on_lost(str(error)), reading
        )
        self._channel = endpoint.open_channel(single_threaded=True)

    def open(self, timeout_s: float = OPEN_TIMEOUT_S) -> None:
        """Connects. HandshakeError names the field in which the two ends differ; UnreachableError."""
        replies = self._channel.unary_stream(self._path, serialize, bytes)
        proof = self._endpoint.prove(self._path)
        try:
            hello = encode_hello(self._hello, self._stream.invite())
            self._stream.open(replies(hello, metadata=sent_with(proof)), proof, timeout_s)
        except ClusterError:
            self.close()
            raise

    def close(self) -> None:
        """Ends the stream, its connection and its threads."""
        self._stream.close()
        self._channel.close()

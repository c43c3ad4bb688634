"""The stream to the next stage: from the coordinator to stage 0, from each stage to the one after it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

from cluster.api.errors import ClusterError, UnreachableError
from cluster.messages.program import AnyStep
from cluster.messages.stage import Hello
from cluster.messages.step import Float32Array
from cluster.wire.access.endpoint import Endpoint, sent_with
from cluster.wire.codec.hello import encode_hello
from cluster.wire.codec.step.frames import encode_step
from cluster.wire.codec.step.header import StepLimits, check_sent
from cluster.wire.local.frames import Frames
from cluster.wire.stage.stream import OPEN_TIMEOUT_S, StageStream
from cluster.wire.transport.methods import method_path
from protos import stage_pb2

# More steps than a pipeline has in flight: only a stage that does not read makes `send` wait.
MAX_QUEUED_STEPS = 64
_STEPS = method_path("Stage", "Steps")
_LOST_CHECK_S = 0.1

_Step = tuple[AnyStep, Float32Array | None]


class StageLink:
    """Sends steps to the stage at `endpoint`, which must agree to `hello`.

    `on_lost(reason)` is called once, on another thread, when the stream breaks; not after `close`.
    """

    def __init__(self, endpoint: Endpoint, hello: Hello, on_lost: Callable[[str], None]) -> None:
        self._hello = hello
        self._limits = StepLimits.of(hello)
        self._steps: SimpleQueue[_Step | None] = SimpleQueue()
        self._room = threading.Semaphore(MAX_QUEUED_STEPS)
        self._sent = threading.Event()  # nothing is queued
        self._on_lost = on_lost
        self._stream = StageStream(endpoint, hello, stage_pb2.StepAck, _ignore, self._lose)
        self._endpoint = endpoint
        self._channel = endpoint.open_channel()

    def open(self, timeout_s: float = OPEN_TIMEOUT_S) -> None:
        """Connects. HandshakeError names the field in which the two ends differ; UnreachableError."""
        steps = self._channel.stream_stream(_STEPS, bytes, bytes)
        proof = self._endpoint.prove(_STEPS)
        try:
            hello = encode_hello(self._hello, self._stream.invite())
            self._stream.open(steps(self._messages(hello), metadata=sent_with(proof)), proof, timeout_s)
        except ClusterError:
            self.close()
            raise

    def send(self, step: AnyStep, hidden: Float32Array | None) -> None:
        """Queues one step; `hidden` [T, E], or the arrays in it, must not be changed any more.

        From one thread only. Waits while MAX_QUEUED_STEPS are unsent; UnreachableError once the link is lost.
        """
        check_sent(step, hidden, self._limits)
        frames = self._stream.frames
        if frames is not None:
            self._send_through(frames, step, hidden)
            return
        while not self._room.acquire(timeout=_LOST_CHECK_S):
            self._check_alive()
        self._check_alive()
        self._sent.clear()
        self._steps.put((step, hidden))

    def flush(self, timeout_s: float) -> None:
        """Lets the thread that sends go first: returns once nothing is queued, or after `timeout_s`."""
        frames = self._stream.frames
        if frames is not None:
            frames.flush(timeout_s)
        else:
            self._sent.wait(timeout_s)

    def close(self) -> None:
        """Drops what is unsent, and ends the stream, its connection and its threads."""
        self._steps.put(None)
        self._stream.close()
        self._channel.close()

    def _send_through(self, frames: Frames, step: AnyStep, hidden: Float32Array | None) -> None:
        """In the thread that sends: a thread between would cost more than the way itself."""
        for data in encode_step(step, hidden):
            while not frames.wait_for_room(MAX_QUEUED_STEPS, _LOST_CHECK_S):
                self._check_alive()
            self._check_alive()
            try:
                frames.send(data)
            except UnreachableError as error:
                self._check_alive()
                raise UnreachableError(f"{self._stream.peer}: {error}; its process is gone") from error

    def _check_alive(self) -> None:
        if self._stream.error is not None:
            raise UnreachableError(str(self._stream.error))

    def _messages(self, hello: stage_pb2.Hello) -> Iterator[bytes]:
        """Taken by gRPC on a thread of its own, so that packing overlaps the next computation."""
        yield stage_pb2.StepMessage(hello=hello).SerializeToString()
        while (step := self._steps.get()) is not None:
            yield from encode_step(*step)
            self._room.release()
            if self._steps.empty():
                self._sent.set()

    def _lose(self, error: ClusterError) -> None:
        self._steps.put(None)  # ends the thread that waits for steps
        self._on_lost(str(error))


def _ignore(ack: stage_pb2.StepAck) -> None:
    """Only the answer to Hello carries news; TCP already acknowledges steps."""

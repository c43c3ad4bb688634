"""The gRPC server of a stage: takes steps from upstream, tells the coordinator what became of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import grpc

from cluster.api.errors import UsageError
from cluster.api.status import StageFacts
from cluster.messages.program import AnyStep
from cluster.messages.stage import Callers, Hello, Holdings, StageFailure, Wiring
from cluster.messages.step import Float32Array
from cluster.wire.access.endpoint import Listener
from cluster.wire.access.guarded import GuardedServer
from cluster.wire.codec.event import Event
from cluster.wire.codec.facts import encode_facts, encode_holdings
from cluster.wire.codec.hello import decode_hello
from cluster.wire.codec.wiring import decode_wiring
from cluster.wire.limits import MAX_COUNT, AnyMessage, check_range, parse
from cluster.wire.local.frames import Frames
from cluster.wire.local.meeting import coming_to
from cluster.wire.stage.epochs import StageEpochs, StreamEnd
from cluster.wire.stage.events import EventQueue, TokenQueue
from cluster.wire.stage.steps import StepReader, StepSource
from cluster.wire.transport.methods import Methods
from cluster.wire.transport.status import aborting
from protos import stage_pb2

# Each stream holds a thread: upstream, coordinator, those of an epoch that ends, and a few Describe calls.
_NUM_THREADS = 12
# Of long messages, as results with logits are; more are not made before there is room.
MAX_UNSENT = 2
ROOM_CHECK_S = 1.0
_ANY = Callers()

Reads = Callable[[StepSource], None]


class StageBackend(Protocol):
    """The stage behind the server. All methods are called on the server's threads."""

    def accept(self, hello: Hello) -> None:
        """A new epoch begins: forget all queued steps. HandshakeError refuses it.

        Called once for each epoch, before its first `submit` and after the last one of the epoch before.
        """

    def submit(self, step: AnyStep, hidden: Float32Array | None, received_ns: int) -> None:
        """Takes one step, in order; waits while the stage's own queue is full, but not once it is stopping.

        `hidden` [T, E] belongs to the stage. A ClusterError ends the stream and is told to the coordinator.
        """

    def describe(self) -> StageFacts:
        """The stage now."""

    def holdings(self, epoch: int) -> Holdings:
        """What the slots hold as this epoch begins, once it has; UnreachableError if it does not."""

    def rewire(self, wiring: Wiring) -> None:
        """Connects to the other stages for a newer epoch. HandshakeError or UnreachableError."""

    def compile(self, grammar: str) -> None:
        """Has a grammar ready for the slots that will follow it. UsageError if it cannot be used."""


class StageServer:
    """Serves one stage to those who know the secret. `hello` holds what it is, and the epoch that it joins."""

    def __init__(
        self,
        hello: Hello,
        backend: StageBackend,
        listener: Listener,
        callers: Callers = _ANY,
        reads: Reads | None = None,
    ) -> None:
        """`callers`: the nodes from which streams may come. `reads`: of the backend, which takes steps from streams
        within this machine itself, until they are over; None: they are submitted, as others are."""
        self._stage = hello.stage
        self._backend = backend
        self._reads = reads
        self._epochs = StageEpochs(hello, backend.accept, callers)
        self._listener = listener
        self._watchers: list[EventQueue | TokenQueue] = []
        self._watchers_lock = threading.Lock()
        methods: Methods = {
            "Steps": self._steps,
            "Watch": self._watch,
            "Tokens": self._tokens,
            "Describe": self._describe,
            "Hold": self._hold,
            "Wire": self._wire,
            "Compile": self._compile,
        }
        name = f"stage-{hello.stage}-wire"
        self._server = GuardedServer(listener, "Stage", methods, name, _NUM_THREADS, _NUM_THREADS)

    def start(self) -> str:
        """The address "host:port" that it listens on. UsageError names a port that is in use."""
        return self._server.start()

    def expect(self, epoch: int, callers: Callers = _ANY) -> None:
        """The streams of a newer epoch may come now; those of the old one end when they do. HandshakeError."""
        self._epochs.expect(epoch, callers)

    def publish(self, event: Event) -> None:
        """Tells the coordinator; never waits. Events that nobody watches for are dropped."""
        with self._watchers_lock:
            for watcher in self._watchers:
                watcher.put(event)

    def stop(self) -> None:
        """Ends all streams and threads. The backend must have stopped waiting in `submit`."""
        with self._watchers_lock:
            for watcher in self._watchers:
                watcher.end()
        self._server.stop()

    def _steps(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[stage_pb2.StepAck]:
        end = StreamEnd(context.cancel)
        requests = _until_gone(requests)
        with aborting(context):
            first = next(requests, None)
            if first is None:
                return
            message = parse(stage_pb2.StepMessage, first)
            if message.WhichOneof("kind") != "hello":
                raise UsageError("hello: the first message is another one; send Hello first")
            hello = decode_hello(message.hello)
            try:
                self._epochs.join_upstream(hello, end, self._listener.caller(context))
                with coming_to(message.hello.invitation, context) as frames:
                    yield stage_pb2.StepAck(hello=_ack(hello, frames))
                    if frames is not None and self._reads is not None:
                        self._have_read(self._reads, frames, hello, context)
                    else:
                        self._receive(requests if frames is None else frames.messages(), hello)
            finally:
                end.reached.set()

    def _receive(self, requests: Iterator[bytes], hello: Hello) -> None:
        reader = StepReader(hello)
        try:
            for data in requests:
                step = reader.take(data)
                if step is not None:
                    self._backend.submit(*step)
        except Exception as error:
            self._refuse(hello.epoch, error)
            raise

    def _have_read(self, reads: Reads, frames: Frames, hello: Hello, context: grpc.ServicerContext) -> None:
        """The backend reads them itself."""
        source = StepSource(frames, hello, partial(self._refuse, hello.epoch))
        if not context.add_callback(source.end):
            source.end()  # gone already
        reads(source)
        if source.error is not None:
            raise source.error

    def _refuse(self, epoch: int, error: Exception) -> None:
        self.publish(StageFailure(self._stage, epoch, f"step refused: {error}"))

    def _watch(self, request: bytes, context: grpc.ServicerContext) -> Iterator[stage_pb2.StageEvent]:
        events = EventQueue()
        with self._watching(request, context, events) as ack:
            yield stage_pb2.StageEvent(hello=ack)
            yield from _not_through(events.frames, events.messages())

    def _tokens(self, request: bytes, context: grpc.ServicerContext) -> Iterator[stage_pb2.SampledStep]:
        steps = TokenQueue()
        with self._watching(request, context, steps) as ack:
            yield stage_pb2.SampledStep(hello=ack)
            yield from _not_through(steps.frames, steps.messages())

    @contextmanager
    def _watching(
        self, request: bytes, context: grpc.ServicerContext, events: EventQueue | TokenQueue
    ) -> Iterator[stage_pb2.HelloAck]:
        """Events are put into the queue, which ends with the stream."""
        with aborting(context):
            message = parse(stage_pb2.Hello, request)
            hello = decode_hello(message)
            caller = self._listener.caller(context)
            self._epochs.join_watch(hello, events.purpose, StreamEnd(context.cancel), caller)
            if not context.add_callback(events.end):
                events.end()  # gone already
            with coming_to(message.invitation, context) as events.frames:
                with self._watchers_lock:
                    # The first stage waits for its message; the coordinator is told while that computes.
                    self._watchers.insert(0 if isinstance(events, TokenQueue) else len(self._watchers), events)
                try:
                    yield _ack(hello, events.frames)
                finally:
                    with self._watchers_lock:
                        self._watchers.remove(events)

    def _describe(self, request: bytes, context: grpc.ServicerContext) -> stage_pb2.StageFacts:
        with aborting(context):
            parse(stage_pb2.DescribeRequest, request)
            return encode_facts(self._backend.describe())

    def _hold(self, request: bytes, context: grpc.ServicerContext) -> stage_pb2.Holdings:
        with aborting(context):
            epoch = check_range("epoch", parse(stage_pb2.HoldRequest, request).epoch, 1, MAX_COUNT)
            return encode_holdings(self._backend.holdings(epoch))

    def _wire(self, request: bytes, context: grpc.ServicerContext) -> stage_pb2.HelloAck:
        with aborting(context):
            wiring = decode_wiring(parse(stage_pb2.WireRequest, request))
            self._epochs.check_wirer(wiring.hello, self._listener.caller(context))
            self._backend.rewire(wiring)
            return stage_pb2.HelloAck(epoch=wiring.hello.epoch)

    def _compile(self, request: bytes, context: grpc.ServicerContext) -> stage_pb2.CompileReply:
        with aborting(context):
            self._backend.compile(parse(stage_pb2.CompileRequest, request).grammar)
            return stage_pb2.CompileReply()


def _ack(hello: Hello, frames: Frames | None) -> stage_pb2.HelloAck:
    return stage_pb2.HelloAck(epoch=hello.epoch, has_come=frames is not None)


def _not_through(frames: Frames | None, messages: Iterator[AnyMessage]) -> Iterator[AnyMessage]:
    """Those messages that are left to the call: none, where there is a way beside it."""
    if frames is None:
        yield from messages
        return
    for message in messages:
        while not frames.wait_for_room(MAX_UNSENT, ROOM_CHECK_S):
            pass
        frames.send(message.SerializeToString())


def _until_gone(requests: Iterator[bytes]) -> Iterator[bytes]:
    """The requests of a stream; a peer that goes away ends it."""
    try:
        yield from requests
    except grpc.RpcError:
        return

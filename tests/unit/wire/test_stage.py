"""A stage's server, its upstream link and the coordinator's watch, over real gRPC on loopback."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import grpc
import numpy as np
import pytest

from cluster.api.errors import CapacityError, HandshakeError, UnreachableError, UsageError
from cluster.messages.stage import Hello, Holdings, StageFailure
from cluster.messages.step import NO_ROWS, SampledStep, SampledToken, StepId, StepResult, StepTiming
from cluster.wire.access.endpoint import Endpoint, Listener
from cluster.wire.codec.event import Event
from cluster.wire.codec.hello import encode_hello
from cluster.wire.codec.step.frames import encode_step
from cluster.wire.local import meeting
from cluster.wire.stage import events
from cluster.wire.stage.event_watch import EventWatch
from cluster.wire.stage.events import EventQueue, TokenQueue
from cluster.wire.stage.link import StageLink
from cluster.wire.stage.server import StageServer
from cluster.wire.stage.token_watch import TokenWatch
from protos import stage_pb2, stage_pb2_grpc
from tests.fakes.wire_backends import (
    SECRET,
    RecordingStage,
    endpoint,
    make_batch,
    make_hello,
    make_hidden,
    no_thread_left,
    open_proving_channel,
    wait_until,
)


@dataclass
class Ends:
    """What the other side of the tested streams hears."""

    may_meet: bool = True  # streams leave gRPC for a Unix socket
    events: queue.SimpleQueue[Event] = field(default_factory=queue.SimpleQueue)
    lost: list[str] = field(default_factory=list)

    def watch(self, address: str, hello: Hello) -> EventWatch:
        return EventWatch(self.endpoint(address), hello, self.events.put, self.lost.append)

    def link(self, address: str, hello: Hello) -> StageLink:
        return StageLink(self.endpoint(address), hello, self.lost.append)

    def endpoint(self, address: str) -> Endpoint:
        return replace(endpoint(address), may_meet=self.may_meet)

    def next_event(self) -> Event:
        return self.events.get(timeout=10)


@dataclass
class Stage:
    backend: RecordingStage
    server: StageServer
    address: str


@pytest.fixture
def stage() -> Iterator[Stage]:
    with no_thread_left():
        backend = RecordingStage()
        server = StageServer(make_hello(), backend, Listener(SECRET))
        yield Stage(backend, server, server.start())
        server.stop()


@pytest.fixture(params=[True, False], ids=["unix", "grpc"])
def ends(request: pytest.FixtureRequest) -> Ends:
    return Ends(may_meet=request.param)


def test_steps_arrive_in_order_and_whole(stage: Stage, ends: Ends) -> None:
    link = ends.link(stage.address, make_hello())
    link.open()
    assert stage.backend.accepted == [make_hello()]
    for step in range(1, 30):
        link.send(make_batch(step, 1 + step % 3), make_hidden(1 + step % 3) * step)
    for step in range(1, 30):
        batch, hidden = stage.backend.steps.get(timeout=10)
        assert batch.id == StepId(3, 0, step)
        assert batch.num_rows == 1 + step % 3
        np.testing.assert_array_equal(hidden, make_hidden(batch.num_rows) * step)
    link.close()
    assert not ends.lost


def test_a_step_longer_than_a_message_arrives(ends: Ends) -> None:
    hello = make_hello(hidden_width=8192, context_length=1024)
    backend = RecordingStage()
    with no_thread_left():
        server = StageServer(hello, backend, Listener(SECRET))
        link = ends.link(server.start(), hello)
        link.open()
        hidden = np.random.default_rng(1).random((768, 8192), np.float32)  # 24 MiB
        link.send(make_batch(1, 768), hidden)
        _, got = backend.steps.get(timeout=20)
        np.testing.assert_array_equal(got, hidden)
        link.close()
        server.stop()
    assert not ends.lost


def test_events_reach_the_watch(stage: Stage, ends: Ends) -> None:
    watch = ends.watch(stage.address, make_hello())
    watch.open()
    timing = StepTiming(StepId(3, 0, 1), 1, 2, 10, 20, 5)
    token = SampledToken(1, 0, 42, -0.25, ((42, -0.25), (7, -2.0)))
    logits = np.random.default_rng(2).random((20, 300_000), np.float32)  # 24 MB: several messages
    stage.server.publish(timing)
    stage.server.publish(StepResult(StepId(3, 0, 1), (token,), logits))
    stage.server.publish(StageFailure(1, 3, "downstream lost"))
    result = ends.next_event()
    assert isinstance(result, StepResult)
    assert result.sampled == (token,)
    np.testing.assert_array_equal(result.logits, logits)
    # What is urgent goes first; but a timing waits for half a second at most, which the result may have taken.
    later = [ends.next_event(), ends.next_event()]
    assert StageFailure(1, 3, "downstream lost") in later
    assert timing in later
    watch.close()
    assert not ends.lost


def test_what_is_sampled_reaches_the_first_stage(stage: Stage, ends: Ends) -> None:
    sampled: queue.SimpleQueue[SampledStep] = queue.SimpleQueue()
    watch = TokenWatch(ends.endpoint(stage.address), make_hello(), sampled.put, ends.lost.append)
    watch.open()
    tokens = SampledToken(1, 3, 42, -0.25, ((42, -0.25), (7, -2.0))), SampledToken(0, 2, 9, -1.0)
    stage.server.publish(StepTiming(StepId(3, 0, 1), 1, 2, 10, 20, 5))
    stage.server.publish(StepResult(StepId(3, 0, 1), tokens, np.ones((1, 50), np.float32)))
    stage.server.publish(StepResult(StepId(3, 0, 2), ()))
    first, second = sampled.get(timeout=10), sampled.get(timeout=10)
    assert (first.id.step, first.slots.tolist(), first.tokens.tolist()) == (1, [3, 2], [42, 9])
    assert (second.id.step, second.slots.tolist(), second.tokens.tolist()) == (2, [], [])
    watch.close()
    assert not ends.lost


def test_the_first_stage_hears_of_the_last_ones_end_once(ends: Ends) -> None:
    server = StageServer(make_hello(), RecordingStage(), Listener(SECRET))
    watch = TokenWatch(ends.endpoint(server.start()), make_hello(), lambda sampled: None, ends.lost.append)
    watch.open()
    server.stop()
    wait_until(lambda: ends.lost)
    watch.close()
    assert len(ends.lost) == 1
    assert "stage 1 at" in ends.lost[0]


def test_events_of_another_epoch_are_dropped(stage: Stage, ends: Ends) -> None:
    watch = ends.watch(stage.address, make_hello())
    watch.open()
    stage.server.publish(StageFailure(1, 2, "old"))
    stage.server.publish(StepResult(StepId(2, 0, 9), ()))
    stage.server.publish(StepResult(StepId(3, 0, 9), ()))
    assert ends.next_event() == StepResult(StepId(3, 0, 9), ())
    watch.close()


def test_describe(stage: Stage, ends: Ends) -> None:
    watch = ends.watch(stage.address, make_hello())
    watch.open()
    assert watch.describe() == stage.backend.describe()
    answers = [watch.ask() for _ in range(3)]
    assert [answer() for answer in answers] == [stage.backend.describe()] * 3
    watch.close()
    with pytest.raises(UnreachableError, match=r"stage 1 .* not connected any more"):
        watch.describe()


def test_what_a_stage_holds_is_asked_once_the_epoch_has_begun(stage: Stage, ends: Ends) -> None:
    watch = ends.watch(stage.address, make_hello())
    watch.open()
    stage.backend.accepted *= 3
    assert watch.ask_holdings(2.0)() == Holdings(2, (3, 0, 4))
    stage.backend.accepted.clear()
    answer = watch.ask_holdings(2.0)
    with pytest.raises(UnreachableError, match="has not begun 3"):
        answer()
    watch.close()


def test_a_step_that_others_restore_travels_without_rows(stage: Stage, ends: Ends) -> None:
    link = ends.link(stage.address, make_hello())
    link.open()
    asks_nothing = {"samples": NO_ROWS, "wants_logits": np.zeros(2, np.bool_)}
    passed_by = make_batch(**asks_nothing, id=StepId(3, 0, 0), restores=(0,))
    computed = make_batch(**asks_nothing, id=StepId(3, 0, 1), restores=(1,))
    link.send(passed_by, None)
    link.send(computed, make_hidden())
    for batch, has_rows in ((passed_by, False), (computed, True)):
        received, hidden = stage.backend.steps.get(timeout=5)
        assert received.restores == batch.restores
        assert (hidden is not None) == has_rows
    with pytest.raises(UsageError, match="hidden: shape"):
        link.send(passed_by, make_hidden())
    with pytest.raises(UsageError, match="hidden: shape None"):
        link.send(computed, None)
    link.close()


def test_a_grammar_is_compiled_before_anybody_follows_it(stage: Stage, ends: Ends) -> None:
    watch = ends.watch(stage.address, make_hello())
    watch.open()
    watch.compile('start: "a"')
    assert stage.backend.grammars == ['start: "a"']
    stage.backend.refusal = UsageError("grammar: it names no token; correct it")
    with pytest.raises(UsageError, match=r"^grammar: it names no token; correct it$"):
        watch.compile("start: <x>")
    watch.close()
    with pytest.raises(UnreachableError, match="not connected any more"):
        watch.compile('start: "a"')


def test_a_watch_that_is_closed_while_it_asks(stage: Stage, ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """`cluster status` while a repair leaves the old streams."""
    watch = ends.watch(stage.address, make_hello())
    watch.open()
    facts, may_answer = stage.backend.describe(), threading.Event()
    monkeypatch.setattr(stage.backend, "describe", lambda: (may_answer.wait(10), facts)[1])
    answer = watch.ask(timeout_s=10)
    watch.close()
    with pytest.raises(UnreachableError, match="not connected any more"):
        answer()
    may_answer.set()


def test_wrong_hello_is_refused_with_both_values(stage: Stage, ends: Ends) -> None:
    wrong = make_hello(hidden_width=16)
    for stream in (ends.link(stage.address, wrong), ends.watch(stage.address, wrong)):
        with pytest.raises(HandshakeError, match=r"hello.hidden_width: stage 1 has 8, its peer has 16"):
            stream.open()
    assert not ends.lost
    assert not stage.backend.accepted


def test_backend_may_refuse_an_epoch(ends: Ends) -> None:
    class Refusing(RecordingStage):
        def accept(self, hello: Hello) -> None:
            raise CapacityError("stage 1: still loading; try again")

    with no_thread_left():
        server = StageServer(make_hello(), Refusing(), Listener(SECRET))
        with pytest.raises(CapacityError, match="still loading"):
            ends.link(server.start(), make_hello()).open()
        server.stop()


def test_one_upstream_for_each_epoch(stage: Stage, ends: Ends) -> None:
    first = ends.link(stage.address, make_hello())
    first.open()
    with pytest.raises(HandshakeError, match="already had an upstream in epoch 3"):
        ends.link(stage.address, make_hello()).open()
    first.close()
    with pytest.raises(HandshakeError, match="already had an upstream in epoch 3"):
        ends.link(stage.address, make_hello()).open()
    assert not ends.lost


def test_a_newer_epoch_ends_the_streams_of_the_older(stage: Stage, ends: Ends) -> None:
    old_ends = Ends(may_meet=ends.may_meet)
    old = [old_ends.link(stage.address, make_hello()), old_ends.watch(stage.address, make_hello())]
    for stream in old:
        stream.open()
    stage.server.expect(4)
    link = ends.link(stage.address, make_hello(epoch=4))
    link.open()
    wait_until(lambda: len(old_ends.lost) == 2)
    assert [hello.epoch for hello in stage.backend.accepted] == [3, 4]
    link.send(make_batch(1, epoch=4), make_hidden())
    assert stage.backend.steps.get(timeout=10)[0].id.epoch == 4
    with pytest.raises(HandshakeError, match="stage 1 is in epoch 4, its peer in 3"):
        ends.watch(stage.address, make_hello()).open()
    for stream in (*old, link):
        stream.close()
    assert not ends.lost


def test_duplicates_and_old_epochs_are_dropped(stage: Stage, ends: Ends) -> None:
    link = ends.link(stage.address, make_hello())
    link.open()
    for step, epoch in ((1, 3), (1, 3), (2, 2), (2, 3), (1, 3), (3, 3)):
        link.send(make_batch(step, epoch=epoch), make_hidden())
    assert [stage.backend.steps.get(timeout=10)[0].id.step for _ in range(3)] == [1, 2, 3]
    assert stage.backend.steps.empty()
    link.close()


@pytest.mark.parametrize(
    ("step", "epoch", "text"), [(3, 3, "id.step: 3 after 1"), (2, 9, "id.epoch: 9 in a stream of epoch 3")]
)
def test_a_missing_step_ends_the_stream(stage: Stage, ends: Ends, step: int, epoch: int, text: str) -> None:
    watch = Ends(may_meet=ends.may_meet)
    ear = watch.watch(stage.address, make_hello())
    ear.open()
    link = ends.link(stage.address, make_hello())
    link.open()
    link.send(make_batch(1), make_hidden())
    link.send(make_batch(step, epoch=epoch), make_hidden())
    failure = watch.next_event()
    assert isinstance(failure, StageFailure)
    assert text in failure.reason
    wait_until(lambda: ends.lost)
    assert len(ends.lost) == 1
    assert text in ends.lost[0]
    with pytest.raises(UnreachableError, match=text):
        link.send(make_batch(2), make_hidden())
    link.close()
    ear.close()


def test_a_step_that_the_stage_refuses_is_told_to_both(stage: Stage, ends: Ends) -> None:
    watch = Ends(may_meet=ends.may_meet)
    ear = watch.watch(stage.address, make_hello())
    ear.open()
    link = ends.link(stage.address, make_hello())
    link.open()
    stage.backend.refusal = UsageError("slots: 3 has no room; free it")
    link.send(make_batch(1), make_hidden())
    assert watch.next_event() == StageFailure(1, 3, "step refused: slots: 3 has no room; free it")
    wait_until(lambda: ends.lost == ["slots: 3 has no room; free it"])
    link.close()
    ear.close()


def test_streams_leave_grpc_where_both_are_on_one_machine(stage: Stage, ends: Ends) -> None:
    """Unless they may not, or nobody comes to where they invite."""
    link, watch = ends.link(stage.address, make_hello()), ends.watch(stage.address, make_hello())
    for stream in (link, watch):
        stream.open()
        assert (stream._stream.frames is not None) == ends.may_meet
        stream.close()


def test_streams_to_another_machine_stay_with_grpc(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """There, nothing has the name that they invite to."""
    monkeypatch.setattr(meeting, "come_to", lambda invitation: None)
    ends = Ends()
    link, watch = ends.link(stage.address, make_hello()), ends.watch(stage.address, make_hello())
    link.open()
    watch.open()
    link.send(make_batch(1), make_hidden())
    assert stage.backend.steps.get(timeout=10)[0].id.step == 1
    stage.server.publish(StepResult(StepId(3, 0, 1), ()))
    assert ends.next_event() == StepResult(StepId(3, 0, 1), ())
    link.close()
    watch.close()
    assert not ends.lost


def test_the_servers_end_is_heard_once(ends: Ends) -> None:
    with no_thread_left():
        server = StageServer(make_hello(), RecordingStage(), Listener(SECRET))
        address = server.start()
        link = ends.link(address, make_hello())
        watch = ends.watch(address, make_hello())
        link.open()
        watch.open()
        server.stop()
        wait_until(lambda: len(ends.lost) == 2)
        link.close()
        watch.close()
    assert len(ends.lost) == 2
    assert all("stage 1 at" in reason for reason in ends.lost)


def test_nobody_at_the_address(ends: Ends) -> None:
    with no_thread_left(), pytest.raises(UnreachableError, match=r"stage 1 at 127.0.0.1:1: .*refused"):
        ends.link("127.0.0.1:1", make_hello()).open()


def test_a_peer_that_says_nothing(ends: Ends) -> None:
    with no_thread_left(), socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(UnreachableError, match=r"no answer within 0.3 s"):
            ends.link(f"127.0.0.1:{port}", make_hello()).open(timeout_s=0.3)


@pytest.mark.parametrize("address", ["", "host", "host:", "host:0", "host:70000", ":8470", "host:٣"])
def test_no_address(address: str, ends: Ends) -> None:
    with pytest.raises(UsageError, match=r"address: .* is not host:port"):
        ends.link(address, make_hello())


def test_port_in_use(stage: Stage) -> None:
    port = int(stage.address.rpartition(":")[2])
    with (
        no_thread_left(),
        pytest.raises(UsageError, match=f"port {port} on 127.0.0.1: cannot listen: Address"),
    ):
        StageServer(make_hello(), RecordingStage(), Listener(SECRET, ports=port)).start()


def test_generated_stubs_speak_to_the_server(stage: Stage) -> None:
    """Another client, written from the .proto file alone."""
    with open_proving_channel(stage.address) as channel:
        stub = stage_pb2_grpc.StageStub(channel)
        assert stub.Describe(stage_pb2.DescribeRequest()).pid == 42
        messages = [stage_pb2.StepMessage(hello=encode_hello(make_hello()))]
        messages += map(stage_pb2.StepMessage.FromString, encode_step(make_batch(1), make_hidden()))
        acks = list(stub.Steps(iter(messages)))
        assert [ack.hello.epoch for ack in acks] == [3]
        assert stage.backend.steps.get(timeout=10)[0].id.step == 1


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xff\xff\xff", "StepMessage: 3 bytes that are not such a message"),
        (b"", "hello: the first message is another one"),
        (stage_pb2.StepMessage(hello=stage_pb2.Hello()).SerializeToString(), "hello.num_stages: 0"),
    ],
)
def test_strange_bytes_are_refused_by_name(stage: Stage, data: bytes, text: str) -> None:
    with open_proving_channel(stage.address) as channel:
        steps = channel.stream_stream("/ggml_cluster.v1.Stage/Steps", None, None)
        with pytest.raises(grpc.RpcError) as raised:
            next(steps(iter([data])))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert text in raised.value.details()


def test_oversize_message_is_refused(stage: Stage) -> None:
    hello = stage_pb2.StepMessage(hello=encode_hello(make_hello())).SerializeToString()
    with open_proving_channel(stage.address, max_send_message_length=-1) as channel:
        steps = channel.stream_stream("/ggml_cluster.v1.Stage/Steps", None, None)
        call = steps(iter([hello, bytes(17 << 20)]))
        next(call)
        with pytest.raises(grpc.RpcError) as raised:
            next(call)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert stage.backend.steps.empty()


@pytest.mark.parametrize(("kind", "items"), [(EventQueue, "events"), (TokenQueue, "steps")])
def test_a_watch_that_lags_is_cut_off(
    kind: type[EventQueue] | type[TokenQueue], items: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_QUEUED_EVENTS", 3)
    queue = kind()
    for step in range(4):
        queue.put(StepResult(StepId(3, 0, step), ()))
    with pytest.raises(CapacityError, match=f"more than 3 {items}"):
        next(iter(queue.messages()))


def test_a_stage_that_computes_steadily_tells_its_timings_together() -> None:
    """Also one whose steps bring no results."""
    events, told = EventQueue(), []
    listener = threading.Thread(target=lambda: told.extend(events.messages()))
    listener.start()
    for step in range(10):
        now_ns = time.monotonic_ns()
        events.put(StepTiming(StepId(3, 0, step), 0, 1, now_ns, now_ns, now_ns))
        time.sleep(0.02)
    wait_until(lambda: told)
    events.end()
    listener.join()
    assert [len(message.timings.timings) for message in told] == [10]


def test_send_waits_for_a_stage_that_is_busy(ends: Ends) -> None:
    """Backpressure: neither side stores more than its bounds while the stage computes."""
    gate: queue.SimpleQueue[None] = queue.SimpleQueue()

    class Slow(RecordingStage):
        def submit(self, *step: object) -> None:
            gate.get()
            super().submit(*step)  # type: ignore[arg-type]

    hello = make_hello(hidden_width=8192, context_length=1024)
    with no_thread_left():
        server = StageServer(hello, Slow(), Listener(SECRET))
        link = ends.link(server.start(), hello)
        link.open()
        hidden = make_hidden(512, 8192)  # 16 MiB each
        sender_done = queue.SimpleQueue[None]()

        def send() -> None:
            for step in range(1, 81):
                link.send(make_batch(step, 512), hidden)
            sender_done.put(None)

        thread = threading.Thread(target=send)
        thread.start()
        with pytest.raises(queue.Empty):
            sender_done.get(timeout=0.5)
        for _ in range(80):
            gate.put(None)
        sender_done.get(timeout=60)
        thread.join()
        link.close()
        server.stop()
    assert not ends.lost

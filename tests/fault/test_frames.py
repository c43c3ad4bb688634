"""Frames that come twice, late or out of their order: they are dropped, and nothing is told twice or otherwise.

What comes out of order within one epoch cannot be mended by a stage: it ends the epoch, and streams pause.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import cluster
from cluster.api.errors import UsageError
from cluster.messages.program import AnyStep
from cluster.messages.stage import StageFailure
from cluster.messages.step import Float32Array, Microbatch, StepResult
from cluster.wire.codec.event import UrgentEvent, encode_event
from cluster.wire.codec.step.assembly import StepAssembly
from cluster.wire.codec.step.frames import encode_step
from cluster.wire.codec.step.header import StepLimits
from cluster.wire.stage import events, link
from cluster.wire.stage.epochs import StepOrder
from protos import stage_pb2
from tests.fakes.wire_backends import SECRET, WIDTH, make_batch, make_hello, make_hidden, wait_until
from tests.fault import test_network
from tests.fault.streams import Stream
from tests.fault.test_network import NUM_SLOTS, NUM_TOKENS, Roads, check, read_all

stages, roads = test_network.stages, test_network.roads  # the same cluster, on good roads

FIRST_EPOCH = 3
KEPT = 40  # frames that may come again


class FramesMachine(RuleBasedStateMachine):
    """One stream of steps to a stage, as its server reads it: which of them the stage is given."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = FIRST_EPOCH - 1
        self.begin()

    def begin(self) -> None:
        self.epoch += 1
        self.assembly = StepAssembly(StepLimits.of(make_hello(epoch=self.epoch)))
        self.order = StepOrder(self.epoch)
        self.sent: list[list[bytes]] = []  # the frames of each step
        self.given: list[tuple[int, bytes]] = []  # to the stage: number and hidden rows
        self.is_over = False

    @precondition(lambda self: not self.is_over)
    @rule(num_rows=st.integers(1, 4))
    def next_step(self, num_rows: int) -> None:
        self.sent.append(frames(len(self.sent) + 1, num_rows, self.epoch))
        assert self.read(self.sent[-1])

    @precondition(lambda self: not self.is_over and self.sent)
    @rule(data=st.data())
    def again(self, data: st.DataObject) -> None:
        assert not self.read(data.draw(st.sampled_from(self.sent)))

    @precondition(lambda self: not self.is_over)
    @rule(step=st.integers(0, 50), age=st.integers(1, FIRST_EPOCH))
    def of_an_epoch_that_is_over(self, step: int, age: int) -> None:
        assert not self.read(frames(step, 2, self.epoch - age))

    @precondition(lambda self: not self.is_over and self.sent)
    @rule(missing=st.integers(1, 5), later=st.integers(0, 2))
    def too_early(self, missing: int, later: int) -> None:
        with pytest.raises(UsageError, match=r"^id\.(step|epoch): "):
            self.read(frames(len(self.sent) + 1 + missing, 1, self.epoch + later))
        self.is_over = True

    @precondition(lambda self: not self.is_over and self.sent)
    @rule(keeps=st.booleans())
    def in_pieces_of_which_one_is_lost(self, keeps: bool) -> None:
        """Of a step that is longer than a frame: the next one then comes in the middle of it."""
        header, rows = frames(len(self.sent) + 1, 4, self.epoch, parts=2)
        with pytest.raises(UsageError):
            self.read([header if keeps else rows])
            self.read(frames(len(self.sent) + 2, 1, self.epoch))
        self.is_over = True

    @precondition(lambda self: self.is_over)
    @rule()
    def the_next_epoch(self) -> None:
        self.begin()

    @invariant()
    def each_is_given_once_in_order_and_as_it_was_sent(self) -> None:
        assert [number for number, _ in self.given] == list(range(1, len(self.sent) + 1))
        assert all(rows == hidden_of(number, len(rows) // (4 * WIDTH)).tobytes() for number, rows in self.given)

    def read(self, parts: list[bytes]) -> bool:
        """Whether the stage was given something."""
        num_before = len(self.given)
        for part in parts:
            step = self.assembly.add(stage_pb2.StepMessage.FromString(part))
            if step is None or not self.order.is_next(step[0].id):
                continue
            batch, hidden = step
            assert isinstance(batch, Microbatch)
            assert hidden is not None
            self.given.append((batch.id.step, hidden.tobytes()))
        return len(self.given) > num_before


def hidden_of(step: int, num_rows: int) -> Float32Array:
    return make_hidden(num_rows) * step


def frames(step: int, num_rows: int, epoch: int, parts: int = 1) -> list[bytes]:
    """Of one step; with `parts` its rows are cut in two, as those of a long one are."""
    found = list(encode_step(make_batch(step, num_rows, epoch), hidden_of(step, num_rows)))
    if parts == 1:
        return found
    message = stage_pb2.StepMessage.FromString(b"".join(found))
    rows = message.hidden
    message.hidden = rows[: len(rows) // 2]
    return [message.SerializeToString(), stage_pb2.StepMessage(hidden=rows[len(rows) // 2 :]).SerializeToString()]


TestFault17Frames = FramesMachine.TestCase
TestFault17Frames.settings = settings(max_examples=15, deadline=None)


@dataclass
class Troubled:
    """Every sender of this process, stages and coordinator alike, with a chance that a frame is sent otherwise."""

    again: float = 0.0  # that the frames of a step or an event before come once more
    old: float = 0.0  # that they come as those of an epoch that is over
    early: float = 0.0  # that a step is overtaken by the one behind it
    num_done: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(17))
    lock: threading.Lock = field(default_factory=threading.Lock)
    _steps: list[tuple[AnyStep, Float32Array | None]] = field(default_factory=list)
    _results: list[StepResult] = field(default_factory=list)

    def step(self, step: AnyStep, hidden: Float32Array | None) -> Iterator[bytes]:
        assert isinstance(step, Microbatch)
        kept = None if hidden is None else hidden.copy()
        with self.lock:
            sent = list(encode_step(step, hidden))
            if step.id.step and self._does(self.early):  # an epoch may begin with any number
                sent = [*encode_step(replace(step, id=replace(step.id, step=step.id.step + 1)), hidden), *sent]
            same = [old for old in self._steps if (old[1] is None) == (hidden is None)]
            if same and self._does(self.again):
                sent += encode_step(*self.chance.choice(same))
            if self._does(self.old):
                of_old = replace(step.id, epoch=step.id.epoch - 1, step=step.id.step + self.chance.randint(0, 9))
                sent += encode_step(replace(step, id=of_old), hidden)
            self._steps = [*self._steps, (step, kept)][-KEPT:]
        yield from sent

    def event(self, event: UrgentEvent) -> Iterator[stage_pb2.StageEvent]:
        with self.lock:
            sent = [event]
            if isinstance(event, StepResult):
                if self._results and self._does(self.again):
                    sent.insert(self.chance.randint(0, 1), self.chance.choice(self._results))
                if self._does(self.old):
                    sent.insert(0, replace(event, id=replace(event.id, epoch=event.id.epoch - 1)))
                    sent.insert(0, StageFailure(1, event.id.epoch - 1, "of an epoch that is over"))
                self._results = [*self._results, event][-KEPT:]
        for one in sent:
            yield from encode_event(one)

    def _does(self, share: float) -> bool:
        does = self.chance.random() < share
        self.num_done += does
        return does


@pytest.fixture
def troubled(monkeypatch: pytest.MonkeyPatch) -> Troubled:
    found = Troubled()
    monkeypatch.setattr(link, "encode_step", found.step)
    monkeypatch.setattr(events, "encode_event", found.event)
    return found


def test_fault_17_frames_that_come_again_change_nothing(roads: Roads, troubled: Troubled) -> None:
    """To stages and from them, also those of an epoch that is over: not a bit is another one."""
    with cluster.connect(roads.address, SECRET.for_clients.text) as client:

        def said() -> tuple[bytes, list[tuple[int, ...]]]:
            rows = client.logits([1, 2, 3, 4])
            texts = [client.generate("Once", max_tokens=40, seed=seed, ignore_eos=True) for seed in range(4)]
            return rows.tobytes(), [text.token_ids for text in texts]

        before = said()
        troubled.again = troubled.old = 0.5
        assert said() == before
        assert troubled.num_done > 100
        assert roads.num_epochs == 0
        assert client.status().num_slots_used == 0


def test_fault_17_frames_out_of_order_end_an_epoch_and_no_stream(roads: Roads, troubled: Troubled) -> None:
    """Twice: each epoch that breaks soon is followed by a longer pause."""
    troubled.again, troubled.early = 0.2, 0.05
    streams = [Stream() for _ in range(NUM_SLOTS)]
    threads = read_all(roads, streams)
    wait_until(lambda: roads.num_epochs >= 2, 30)
    troubled.early = 0.0
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    check(roads, streams)
    assert all(len(stream.tokens) == NUM_TOKENS for stream in streams)
    assert roads.cluster.coordinator.status().state == "ready"

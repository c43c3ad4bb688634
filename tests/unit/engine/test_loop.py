"""Whole runs of the engine over fake stages: random arrivals, cancels, failures; and real threads."""

from __future__ import annotations

import dataclasses
import itertools
import math
import queue
import random
import statistics
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.api.embedding import Pooling
from cluster.api.errors import CancelledError, CapacityError, StageLostError, UnreachableError, UsageError
from cluster.api.results import FinishReason, PromptCounts, PromptLogprob, TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.api.status import SlotState, SlotStatus
from cluster.engine.completing import MAX_PROMPT_LOGPROBS
from cluster.engine.drafting.drafter import Drafter
from cluster.engine.events import Output, Reset, is_last
from cluster.engine.limits import Limits
from cluster.engine.loop import Engine
from cluster.messages.stage import StageCosts, StageFailure
from cluster.messages.step import Microbatch, SampledStep, StepResult, StepTiming
from cluster.stage.token_feed import TokenFeed
from tests.fakes.fake_stages import (
    END_TOKEN,
    FAULTY_TOKEN,
    UNSAMPLEABLE,
    UNSAMPLEABLE_LENGTH,
    VOCABULARY,
    FakeStage,
    FakeStages,
    FakeVocabulary,
    Reader,
    World,
    alone,
    cut,
    logits_row,
    score_of,
    text_of,
)

_CONTEXT = 48


class Run:
    """One simulated cluster; `run` plays everything that was planned with `ask`, `lose` and `repair`."""

    def __init__(
        self,
        limits: Limits,
        delay_s: Callable[[int, int], float] = lambda stage, num_rows: 1.0,
        repeats_results: bool = False,
        costs: StageCosts | None = None,
        faulty_stage: int | None = None,
        drafter: Drafter | None = None,
        patience_s: float = 0.0,
        max_kept: int = 1000,
    ) -> None:
        self.world = World()
        self.stages = FakeStages(
            self.world,
            limits.num_stages,
            limits,
            lambda event: self.engine.deliver(event),
            delay_s,
            repeats_results,
            faulty_stage,
            max_kept,
        )
        self.engine = Engine(
            self.stages,
            VOCABULARY,
            limits,
            now=self.world.now,
            choose_seed=lambda: 4711,
            inbox=self.world,
            drafter=drafter,
            patience_s=patience_s,
        )
        self.stages.restart(1)
        self.engine.reset(Reset(1, () if costs is None else (costs,) * limits.num_stages))

    def ask(
        self,
        prompt: list[int],
        params: SamplingParams | Pooling | None,
        at_s: float = 0.0,
        cancel_after_s: float | None = None,
        client: str = "",
        scales: tuple[float, ...] = (),
        begun: tuple[int, ...] = (),
    ) -> Reader:
        reader = self.world.reader()

        def submit() -> None:
            pooling = params if isinstance(params, Pooling) else None
            request_id = self.engine.submit(
                prompt, None if isinstance(params, Pooling) else params, reader, client, pooling, scales, begun
            )
            if cancel_after_s is not None:
                self.world.at(self.world.now_s + cancel_after_s, lambda: self.engine.cancel(request_id))

        self.world.at(at_s, submit)
        return reader

    def lose(self, stage: int, at_s: float, *, tells: bool = True) -> None:
        """A stage dies; if it does not tell, the engine finds out when it next sends."""

        def die() -> None:
            failure = self.stages.lose(stage, "killed\nby signal 9")
            if tells:
                self.engine.fail(failure)
                self.engine.fail(dataclasses.replace(failure, stage=0, reason="its stream broke, in consequence"))

        self.world.at(at_s, die)

    def repair(self, at_s: float, *, keeps: bool = False) -> None:
        """New stages in place of those that died, or where nothing `keeps`, of all.

        Results and failures of the old epoch still trickle in.
        """

        def restart() -> None:
            stale = [StepResult(microbatch.id, ()) for microbatch in self.stages.in_flight.values()]
            old_epoch = self.stages.epoch
            (self.stages.revive if keeps else self.stages.restart)(old_epoch + 1)
            self.engine.reset(Reset(self.stages.epoch, holdings=self.stages.holdings() if keeps else ()))
            for result in stale:
                self.engine.deliver(result)
            self.engine.fail(StageFailure(0, old_epoch, "an old failure"))

        self.world.at(at_s, restart)

    def run(self, *, may_break: bool = False) -> None:
        """`may_break`: the engine may meet a bug, and survives it. Else that is a broken rule of the stages here."""
        self.engine.run()
        assert may_break or self.engine.failure is None or self.engine.failure.stage is not None, self.engine.failure
        assert not self.world.hung, "requests without an answer, and nothing left to happen"
        assert all(reader.ended for reader in self.world.readers)

    def check_nothing_leaks(self, *, may_hold_more: bool = False, max_surplus: int = 1) -> None:
        """`may_hold_more`: of a request that failed, or of an epoch before, the stages hold what nobody relies on.

        `max_surplus`: rows that may have been sent ahead, or of guesses, of a sequence that ended a step before.
        """
        figures = self.engine.snapshot()
        assert (figures.num_slots_used, figures.num_waiting, figures.num_in_flight) == (0, 0, 0)
        held = {slot: list(tokens) for slot, tokens in self.engine._scheduler._slots._free.items()}
        held = {slot: tokens for slot, tokens in held.items() if tokens or not may_hold_more}
        for stage in self.stages.stages:
            there = {slot: stage.kv.get(slot, []) for slot in held}
            surplus = [len(there[slot]) - len(tokens) for slot, tokens in held.items()]
            assert all(0 <= count <= max_surplus for count in surplus), "another length"
            there = {slot: tokens[: len(held[slot])] for slot, tokens in there.items()}
            assert there == held, "a stage holds other tokens than we think"


@dataclass
class Asked:
    """A request of a random run."""

    at_s: float
    prompt: list[int]
    params: SamplingParams | Pooling | None
    cancel_after_s: float | None
    client: str
    scales: tuple[float, ...]

    def ask(self, run: Run) -> Reader:
        return run.ask(self.prompt, self.params, self.at_s, self.cancel_after_s, self.client, self.scales)

    def check(self, reader: Reader, may_be_lost: bool) -> None:
        """Every answer is whole, or an honest part of what the request gives alone."""
        if isinstance(reader.error, CapacityError):
            assert len(reader.outputs) == 1
        elif isinstance(reader.error, StageLostError):
            assert may_be_lost
            self._check_part(reader)
        elif self.params is None:
            self._check_logits(reader)
        elif isinstance(self.params, Pooling):
            self._check_vector(reader, self.params)
        elif reader.reason is FinishReason.CANCELLED:
            assert self.cancel_after_s is not None
            self._check_part(reader)
            assert reader.text == cut(text_of(reader.tokens), self.params.stop)
        else:
            expected = alone(self.prompt, self.params, _CONTEXT)
            assert reader.tokens == expected.tokens
            assert (reader.text, reader.reason) == (expected.text, expected.reason)
            self._check_last(reader)

    def _check_part(self, reader: Reader) -> None:
        if isinstance(self.params, SamplingParams):
            expected = alone(self.prompt, self.params, _CONTEXT)
            assert reader.tokens == expected.tokens[: len(reader.tokens)]

    def _check_logits(self, reader: Reader) -> None:
        if isinstance(reader.error, CancelledError):
            assert self.cancel_after_s is not None
            return
        rows = [logits_row(self.prompt[:end]) for end in range(1, len(self.prompt) + 1)]
        assert np.array_equal(reader.logits, np.stack(rows))

    def _check_vector(self, reader: Reader, pooling: Pooling) -> None:
        if isinstance(reader.error, CancelledError):
            assert self.cancel_after_s is not None
            return
        rows = [logits_row(self.prompt[:end]) for end in range(1, len(self.prompt) + 1)]
        wanted = {Pooling.MEAN: rows, Pooling.CLS: rows[:1]}.get(pooling, rows[-1:])
        assert np.array_equal(reader.vector, np.mean(wanted, axis=0).astype(np.float32))

    def _check_last(self, reader: Reader) -> None:
        timings = reader.timings
        assert timings is not None
        assert timings.num_tokens == len(reader.tokens)
        assert timings.num_prompt_tokens == len(self.prompt)
        spent_ms = timings.queue_ms + timings.prefill_ms + timings.decode_ms
        assert reader.ended_s is not None
        assert spent_ms == pytest.approx((reader.ended_s - self.at_s) * 1e3)
        assert all(event.logprob is not None for event in reader.events if event.token is not None)


_PARAMS = st.builds(
    SamplingParams,
    seed=st.integers(0, 10_000),
    max_tokens=st.one_of(st.none(), st.integers(0, 20)),
    stop=st.lists(st.sampled_from(["stop", "top", "ab", "é", "b", " a"]), max_size=2),
    ignore_eos=st.booleans(),
)
# Long ones that begin alike, so that prefixes are reused.
_PROMPTS = st.one_of(
    st.lists(st.integers(0, VOCABULARY.num_tokens - 1), min_size=1, max_size=_CONTEXT),
    st.builds(
        lambda family, length, tail: [(family + 7 * n) % VOCABULARY.num_tokens for n in range(length)] + tail,
        st.integers(1, 2),
        st.integers(14, 40),
        st.lists(st.integers(0, VOCABULARY.num_tokens - 1), max_size=_CONTEXT - 40),
    ),
)
_POINTS = st.dictionaries(st.integers(1, 40), st.floats(0.1, 100.0), min_size=1).map(
    lambda points: tuple(sorted(points.items()))
)
_COSTS = st.one_of(st.none(), st.builds(StageCosts, _POINTS, st.just(()) | _POINTS))
_ASKED = st.builds(
    Asked,
    at_s=st.floats(0, 30),
    prompt=_PROMPTS,
    params=st.one_of(_PARAMS, _PARAMS, _PARAMS, st.none(), st.sampled_from(Pooling)),
    cancel_after_s=st.one_of(st.none(), st.none(), st.floats(0, 20)),
    client=st.sampled_from(["one", "another"]),
    scales=st.sampled_from([(), (), (0.5,), (-1.0,)]),
)
_LIMITS = st.builds(
    Limits,
    num_slots=st.integers(1, 6),
    context_length=st.just(_CONTEXT),
    max_batch_tokens=st.integers(1, 16),
    num_stages=st.integers(1, 4),
    max_waiting=st.integers(0, 8),
    max_logits_rows=st.integers(1, 8),
    pipeline_prompts=st.booleans(),
)


def random_delays(seed: int) -> Callable[[int, int], float]:
    draw = random.Random(seed)
    return lambda stage, num_rows: draw.uniform(0.0, 2.0) if draw.random() < 0.8 else 0.0


@settings(max_examples=150)
@given(
    _LIMITS,
    _COSTS,
    st.lists(_ASKED, max_size=12),
    st.integers(0, 99),
    st.booleans(),
)
def test_every_request_gets_what_it_would_get_alone(
    limits: Limits,
    costs: StageCosts | None,
    asked: list[Asked],
    delay_seed: int,
    repeats_results: bool,
) -> None:
    run = Run(limits, random_delays(delay_seed), repeats_results, costs)
    readers = [ask.ask(run) for ask in asked]
    run.run()
    for ask, reader in zip(asked, readers, strict=True):
        ask.check(reader, may_be_lost=False)
    run.check_nothing_leaks()
    answered = [reader for reader in readers if not isinstance(reader.error, CapacityError)]
    assert run.engine.snapshot().num_requests == len(answered)
    assert run.engine.snapshot().num_tokens == sum(len(reader.tokens) for reader in readers)


@settings(max_examples=100)
@given(
    _LIMITS,
    st.lists(_ASKED, min_size=1, max_size=12),
    st.integers(0, 99),
    st.floats(0, 20),
    st.booleans(),
    st.one_of(st.none(), st.floats(0, 10)),
)
def test_after_a_failure_every_request_ends_once_and_a_repair_serves_again(
    limits: Limits,
    asked: list[Asked],
    delay_seed: int,
    lost_s: float,
    tells: bool,
    repair_after_s: float | None,
) -> None:
    run = Run(limits, random_delays(delay_seed))
    readers = [ask.ask(run) for ask in asked]
    run.lose(limits.num_stages - 1, lost_s)
    repaired_s = lost_s + (1000.0 if repair_after_s is None else repair_after_s)
    run.repair(repaired_s)
    params = SamplingParams(seed=3, max_tokens=5, ignore_eos=True)
    late = run.ask([1, 2, 3], params, at_s=repaired_s + 1000.0)
    run.run()
    for ask, reader in zip(asked, readers, strict=True):
        ask.check(reader, may_be_lost=True)
        if ask.at_s > lost_s and reader.ended_s is not None and reader.ended_s < repaired_s:
            assert isinstance(reader.error, StageLostError)
    assert late.tokens == alone([1, 2, 3], params, _CONTEXT).tokens
    run.check_nothing_leaks()


_EIGHT = Limits(num_slots=8, context_length=200, max_batch_tokens=64, num_stages=2)
_LONG = SamplingParams(seed=5, max_tokens=60, ignore_eos=True)

_MARKED = st.builds(
    SamplingParams,
    seed=st.integers(0, 10_000),
    max_tokens=st.one_of(st.none(), st.integers(0, 20)),
    ignore_eos=st.booleans(),
    presence_penalty=st.sampled_from([0.0, UNSAMPLEABLE]),
)


@settings(max_examples=150)
@given(
    _LIMITS,
    _COSTS,
    # Too short for one to start from another's rows: where those fail, the second has nothing to start from.
    st.lists(
        st.tuples(
            st.floats(0, 10),
            st.lists(st.integers(0, VOCABULARY.num_tokens - 1), min_size=1, max_size=15),
            st.one_of(_MARKED, _MARKED, st.none()),
        ),
        max_size=12,
    ),
    st.integers(0, 99),
    st.integers(0, 4),
)
def test_what_a_stage_cannot_do_for_one_request_ends_that_one_alone(
    limits: Limits,
    costs: StageCosts | None,
    asked: list[tuple[float, list[int], SamplingParams | None]],
    delay_seed: int,
    faulty_stage: int,
) -> None:
    limits = dataclasses.replace(limits, max_waiting=len(asked))
    run = Run(limits, random_delays(delay_seed), costs=costs, faulty_stage=faulty_stage)
    readers = [run.ask(prompt, params, at_s) for at_s, prompt, params in asked]
    run.run()
    assert run.engine.failure is None
    is_faulty = faulty_stage < limits.num_stages
    for (_, prompt, params), reader in zip(asked, readers, strict=True):
        fails = isinstance(reader.error, UsageError)
        assert not fails or str(reader.error).startswith("stage 9: ")
        if params is None:
            assert fails == (is_faulty and FAULTY_TOKEN in prompt)
            continue
        expected = alone(prompt, params, _CONTEXT)
        most = [len(expected.tokens)]
        if is_faulty and FAULTY_TOKEN in [*prompt, *expected.tokens]:
            most.append(max(0, [*prompt, *expected.tokens].index(FAULTY_TOKEN) + 1 - len(prompt)))
        if params.presence_penalty == UNSAMPLEABLE:
            most.append(max(0, UNSAMPLEABLE_LENGTH - len(prompt)))
        assert reader.tokens == expected.tokens[: min(most)]
        assert fails == (min(most) < len(expected.tokens))
        if not fails:
            assert (reader.text, reader.reason) == (expected.text, expected.reason)
    run.check_nothing_leaks(may_hold_more=True)


def test_whoever_starts_from_the_rows_of_one_that_fails_is_served() -> None:
    run = Run(_EIGHT)
    prefix = [3 + n % 7 for n in range(40)]
    marked = dataclasses.replace(_LONG, presence_penalty=UNSAMPLEABLE)
    failing = run.ask([*prefix, 1], marked)
    sharing = run.ask([*prefix, 2], _LONG, at_s=0.5)
    later = run.ask([*prefix, 4], _LONG, at_s=300.0)
    run.run()
    assert isinstance(failing.error, UsageError)
    assert sharing.tokens == alone([*prefix, 2], _LONG, 200).tokens
    assert later.tokens == alone([*prefix, 4], _LONG, 200).tokens


class BrokenVocabulary(FakeVocabulary):
    """One token has no text: as where a file's tokens are not what its tokenizer expects."""

    def token_bytes(self, token: int, render_special: bool = False) -> bytes:
        if token == FAULTY_TOKEN:
            raise IndexError("unordered_map::at")
        return super().token_bytes(token, render_special)


def test_a_token_without_text_ends_its_request_alone() -> None:
    run = Run(_EIGHT)
    run.engine._requests._vocabulary = BrokenVocabulary()
    asked = [([seed], dataclasses.replace(_LONG, seed=seed, max_tokens=15)) for seed in range(6, 16)]
    readers = [run.ask(prompt, params) for prompt, params in asked]
    run.run()
    assert any(reader.error for reader in readers)
    assert not all(reader.error for reader in readers)
    for (prompt, params), reader in zip(asked, readers, strict=True):
        expected = alone(prompt, params, 200).tokens
        if FAULTY_TOKEN in expected:
            assert "request: IndexError: unordered_map::at" in str(reader.error)
            expected = expected[: expected.index(FAULTY_TOKEN)]
        assert reader.tokens == expected
    assert run.engine.failure is None


def test_the_error_names_the_stage_and_reason_in_one_line() -> None:
    run = Run(_EIGHT)
    readers = [run.ask([1], _LONG) for _ in range(10)]
    run.lose(1, at_s=5.5)
    refused = run.ask([1], _LONG, at_s=7.0)
    run.run()
    for reader in (*readers, refused):
        assert isinstance(reader.error, StageLostError)
        assert str(reader.error) == (
            "stage 1: lost: killed by signal 9; "
            "ask again in a few seconds; what does not come back by itself, `cluster up` repairs"
        )
    assert len({id(reader.error) for reader in readers}) == 10, "nobody shares an exception"
    assert readers[0].ended_s == 5.5
    failure = run.engine.snapshot().failure
    assert failure is not None
    assert failure.stage == 1


def test_a_stage_that_dies_silently_is_found_when_it_is_sent_to() -> None:
    run = Run(dataclasses.replace(_EIGHT, num_stages=1))
    run.lose(0, at_s=1.0, tells=False)
    reader = run.ask([1], _LONG, at_s=2.0)
    run.run()
    assert isinstance(reader.error, StageLostError)


def test_an_epoch_that_is_not_newer_is_ignored() -> None:
    run = Run(_EIGHT)
    reader = run.ask([1], _LONG)
    run.world.at(5.5, lambda: run.engine.reset(Reset(0)))
    run.run()
    assert len(reader.tokens) == 60


def test_what_was_running_goes_on_when_stages_are_started_anew() -> None:
    run = Run(_EIGHT)
    reader = run.ask([1], _LONG)
    run.repair(at_s=6.5)
    run.run()
    assert reader.tokens == alone([1], _LONG, 200).tokens
    assert run.engine.snapshot().epoch == 2


def test_a_stage_that_dies_while_the_next_epoch_is_wired_counts_in_that() -> None:
    run = Run(_EIGHT)
    run.lose(0, at_s=1.0)
    run.world.at(2.0, lambda: run.engine.fail(StageFailure(1, 2, "killed between watch and reset")))
    run.world.at(3.0, lambda: run.engine.reset(Reset(2)))
    reader = run.ask([1], _LONG, at_s=4.0)
    run.run()
    assert str(reader.error).startswith("stage 1: lost: killed between watch and reset; ")


def test_an_early_failure_of_an_epoch_that_was_skipped_is_forgotten() -> None:
    run = Run(_EIGHT)
    run.world.at(0.5, lambda: run.engine.fail(StageFailure(1, 2, "in the epoch that never began")))
    run.world.at(1.0, lambda: (run.stages.restart(3), run.engine.reset(Reset(3))))
    reader = run.ask([1], _LONG, at_s=2.0)
    run.run()
    assert len(reader.tokens) == 60


@pytest.mark.parametrize("num_stages", [1, 2, 3, 4])
def test_with_enough_requests_every_stage_always_works(num_stages: int) -> None:
    """Steps of one second each: after the first steps and before the last no stage waits."""
    run = Run(dataclasses.replace(_EIGHT, num_stages=num_stages))
    readers = [run.ask([seed + 1], dataclasses.replace(_LONG, seed=seed)) for seed in range(8)]
    in_flight = []
    run.world.before_get = lambda: in_flight.append(run.engine.snapshot().num_in_flight)
    run.run()
    assert all(reader.ended and reader.error is None for reader in readers)
    assert max(in_flight) <= num_stages + 1
    first_ns, end_ns = 10 * 10**9, round((min(r.ended_s or 0.0 for r in readers) - 10) * 1e9)
    for stage in range(num_stages):
        worked_ns = [
            step.end_ns - step.start_ns
            for step in run.engine.timings(stage)
            if step.start_ns >= first_ns and step.end_ns <= end_ns
        ]
        assert sum(worked_ns) >= 0.97 * (end_ns - first_ns)
        assert run.engine.snapshot().stages[stage].num_steps >= 60


def test_one_request_alone_uses_one_stage_at_a_time() -> None:
    """The counterpart of the test above: it could fail."""
    run = Run(_EIGHT)
    run.ask([1], _LONG)
    run.run()
    steps = sorted(
        (step.start_ns, step.end_ns) for stage in (0, 1) for step in run.engine.timings(stage) if step.num_rows
    )
    assert all(end_ns <= start_ns for (_, end_ns), (start_ns, _) in itertools.pairwise(steps))


def test_a_cancelled_request_ends_at_once_and_its_slot_is_free_for_the_next() -> None:
    run = Run(_EIGHT)
    gone = run.ask([1, 2], _LONG, cancel_after_s=20.25)
    stays = [run.ask([seed + 1], dataclasses.replace(_LONG, seed=seed)) for seed in range(7)]
    following = run.ask([5], dataclasses.replace(_LONG, max_tokens=1))
    run.run()
    assert gone.reason is FinishReason.CANCELLED
    assert gone.ended_s == 20.25
    assert all(len(reader.tokens) == 60 for reader in stays)
    assert following.ended_s is not None
    assert following.ended_s <= 26.25


def test_the_chunks_of_one_prompt_are_in_several_stages_at_once() -> None:
    """Eight chunks through two stages, a second each: nine seconds, and sixteen if one waits for the other."""
    limits = dataclasses.replace(_EIGHT, max_batch_tokens=10)
    prompt = [1 + token % 20 for token in range(80)]
    ended_s = []
    for pipelined in (True, False):
        run = Run(dataclasses.replace(limits, pipeline_prompts=pipelined))
        reader = run.ask(prompt, dataclasses.replace(_LONG, max_tokens=1))
        run.run()
        ended_s.append(reader.ended_s)
        assert reader.tokens == alone(prompt, dataclasses.replace(_LONG, max_tokens=1), 200).tokens
    assert ended_s == [9.0, 16.0]


def test_a_long_prompt_holds_up_running_streams_by_little() -> None:
    """A step takes its rows' time; the gaps between tokens of others grow by chunks of a prompt, not by all of it."""
    costs = StageCosts(tuple((rows, 250.0 * rows) for rows in range(1, 9)))
    run = Run(dataclasses.replace(_EIGHT, context_length=2000), lambda stage, rows: 0.25 * rows, costs=costs)
    streams = [run.ask([seed + 1], dataclasses.replace(_LONG, seed=seed, max_tokens=200)) for seed in range(7)]
    late = run.ask([1 + token % 20 for token in range(1000)], dataclasses.replace(_LONG, max_tokens=1), at_s=20.0)
    run.run()
    assert late.ended_s is not None
    for stream in streams:
        during = [end - start for start, end in itertools.pairwise(stream.times_s) if 20 < start < late.ended_s]
        before = [end - start for start, end in itertools.pairwise(stream.times_s) if 10 < start < 18]
        assert max(during) <= 3 * statistics.median(before)


def test_a_prefix_that_another_request_left_is_not_computed_again() -> None:
    run = Run(_EIGHT)
    shared = [1 + token % 20 for token in range(60)]
    params = dataclasses.replace(_LONG, max_tokens=3)
    first = run.ask([*shared, 3], params)
    same = run.ask([*shared, 3], params, at_s=50.0)
    other = run.ask([*shared[:40], 9, 9], params, at_s=100.0)
    together = [run.ask([*shared[:50], tail], params, at_s=150.0) for tail in (4, 5, 6)]
    run.run()
    cached = [reader.timings.num_cached_tokens for reader in (first, same, other, *together) if reader.timings]
    assert cached == [0, 60, 40, 50, 50, 50]
    asked = [[*shared, 3], [*shared, 3], [*shared[:40], 9, 9], *([*shared[:50], tail] for tail in (4, 5, 6))]
    for prompt, reader in zip(asked, (first, same, other, *together), strict=True):
        assert reader.tokens == alone(prompt, params, 200).tokens
    run.check_nothing_leaks()


def test_requests_that_come_together_compute_their_common_prefix_once() -> None:
    run = Run(dataclasses.replace(_EIGHT, max_batch_tokens=20))
    shared = [1 + token % 20 for token in range(60)]
    readers = [run.ask([*shared, tail], dataclasses.replace(_LONG, max_tokens=2)) for tail in range(8)]
    run.run()
    cached = [reader.timings.num_cached_tokens for reader in readers if reader.timings]
    assert cached == [0] + [60] * 7
    assert sum(microbatch.num_rows for microbatch in run.stages.sent) == 61 + 7 + 8


def test_choices_of_one_prompt_compute_it_once() -> None:
    run = Run(dataclasses.replace(_EIGHT, max_batch_tokens=20))
    prompt = [1 + token % 20 for token in range(61)]
    readers = [run.ask(prompt, dataclasses.replace(_LONG, max_tokens=2, seed=seed)) for seed in range(8)]
    late = run.ask(prompt, dataclasses.replace(_LONG, max_tokens=2, seed=9), at_s=2.5)
    run.run()
    assert [reader.tokens for reader in readers] == [
        alone(prompt, dataclasses.replace(_LONG, max_tokens=2, seed=seed), 200).tokens for seed in range(8)
    ]
    assert late.timings is not None and late.timings.num_cached_tokens == 60, "it came while the first was computed"
    assert sum(microbatch.num_rows for microbatch in run.stages.sent) == 61 + 8 + 9


def test_the_first_token_tells_of_the_prompt_and_no_later_one_does() -> None:
    run = Run(_EIGHT)
    prompt = [1, 2, 3] * 7
    reader = run.ask(prompt, _LONG)
    again = run.ask(prompt, _LONG, at_s=200.0)
    ended = run.ask(prompt, dataclasses.replace(_LONG, max_tokens=0), at_s=400.0)
    run.run()
    assert [event.prompt for event in reader.events] == [PromptCounts(21, 0, 21)] + [None] * (len(reader.events) - 1)
    assert again.events[0].prompt == PromptCounts(21, 20, 21)
    assert [(event.token, event.prompt) for event in ended.events] == [(None, PromptCounts(21, 0, 0))]


def test_a_prompt_that_is_read_in_chunks_tells_of_each_if_asked() -> None:
    run = Run(dataclasses.replace(_EIGHT, max_batch_tokens=4))
    reader = run.ask([1, 2, 3] * 7, dataclasses.replace(_LONG, report_progress=True))
    silent = run.ask([2, 2, 3] * 7, _LONG, at_s=200.0)
    run.run()
    told = [event for event in reader.events if event.token is None]
    counts = [event.prompt.num_computed for event in told if event.prompt is not None]
    assert counts == sorted(set(counts)) and len(counts) >= 4 and counts[-1] < 21
    assert all(event.text == "" and event.finish_reason is None for event in told)
    assert reader.tokens == alone([1, 2, 3] * 7, _LONG, _EIGHT.context_length).tokens
    assert all(event.token is not None for event in silent.events)


def test_slots_say_what_they_are_used_for_and_nothing_of_any_text() -> None:
    run = Run(dataclasses.replace(_EIGHT, num_slots=3, max_batch_tokens=4))
    seen: list[tuple[SlotStatus, ...]] = []
    for at_s in (0.0, 4.5, 40.0, 400.0):
        run.world.at(at_s, lambda: seen.append(run.engine.slots()))
    run.ask([1, 2, 3] * 7, _LONG)
    run.run()
    assert seen[0] == seen[3] == (SlotStatus(0), SlotStatus(1), SlotStatus(2))
    assert all(slots[1:] == (SlotStatus(1), SlotStatus(2)) for slots in seen)
    prompt, generating = seen[1][0], seen[2][0]
    assert (prompt.state, prompt.num_generated, prompt.age_s) == (SlotState.PROMPT, 0, 4.5)
    assert prompt.num_prompt_tokens == 21 and 0 < prompt.num_computed < 21
    assert generating.state is SlotState.GENERATING and generating.num_computed >= 21
    assert 0 < generating.num_generated < 60


def scored_alone(prompt: list[int], num_top: int) -> list[PromptLogprob]:
    told = [score_of(0, 0, token, prompt[:at], num_top) for at, token in enumerate(prompt)][1:]
    return [PromptLogprob(prompt[0], None), *(PromptLogprob(one.token, one.logprob, one.top) for one in told)]


@pytest.mark.parametrize("max_tokens", [5, 0])
def test_the_tokens_of_a_prompt_are_scored_each_by_those_before_it(max_tokens: int) -> None:
    limits = dataclasses.replace(_EIGHT, max_batch_tokens=16, max_scored_rows=5)
    run = Run(limits)
    params = dataclasses.replace(_LONG, max_tokens=max_tokens, prompt_logprobs=3)
    prompts = [[1, 2, 3, 4] * 9, [1, 2, 3, 4] * 9, [7], [8, 9]]
    readers = [run.ask(prompt, params) for prompt in prompts]
    other = run.ask([1, 2, 3, 4] * 9, _LONG)
    run.run()
    for prompt, reader in zip(prompts, readers, strict=True):
        first, *rest = reader.events
        assert list(first.prompt_logprobs) == scored_alone(prompt, 3)
        assert first.prompt == PromptCounts(len(prompt), 0, len(prompt)), "no row is taken from another"
        assert not any(event.prompt_logprobs for event in rest)
        assert reader.tokens == alone(prompt, params, limits.context_length).tokens
        assert reader.events[-1].finish_reason is FinishReason.LENGTH
    assert other.tokens == alone([1, 2, 3, 4] * 9, _LONG, limits.context_length).tokens


def test_a_prompt_that_fills_the_context_is_scored_and_ends() -> None:
    limits = dataclasses.replace(_EIGHT, context_length=12)
    run = Run(limits)
    reader = run.ask([1, 2, 3] * 4, SamplingParams(max_tokens=None, prompt_logprobs=0))
    run.run()
    (event,) = reader.events
    assert (event.token, event.finish_reason) == (None, FinishReason.CONTEXT)
    assert list(event.prompt_logprobs) == scored_alone([1, 2, 3] * 4, 0)


def test_more_scores_than_fit_into_an_event_are_refused() -> None:
    limits = dataclasses.replace(_EIGHT, context_length=1 << 20)
    run = Run(limits)
    reader = run.ask([1] * (MAX_PROMPT_LOGPROBS // 21 + 1), SamplingParams(prompt_logprobs=20))
    run.run()
    assert isinstance(reader.error, UsageError)
    assert f"give fewer, or a prompt of at most {MAX_PROMPT_LOGPROBS // 21} tokens" in str(reader.error)


def test_many_long_grammars_do_not_travel_in_one_message() -> None:
    run = Run(dataclasses.replace(_EIGHT, max_batch_tokens=64))
    params = dataclasses.replace(_LONG, grammar="x" * (256 << 10))
    readers = [run.ask([seed] * 2, params) for seed in range(1, 9)]
    run.run()
    sent = [sum(len(new.params.grammar) for new in microbatch.new_sampling) for microbatch in run.stages.sent]
    assert sum(sent) == 8 * (256 << 10) and max(sent) <= 4 * (256 << 10)
    assert all(reader.ended and reader.error is None for reader in readers)


def test_a_full_queue_refuses_and_the_others_are_served() -> None:
    run = Run(dataclasses.replace(_EIGHT, num_slots=1, num_stages=1, max_waiting=2))
    readers = [run.ask([1], _LONG) for _ in range(5)]
    run.run()
    errors = [reader.error for reader in readers]
    assert errors[:3] == [None] * 3
    assert all(isinstance(error, CapacityError) for error in errors[3:])


def test_the_last_stage_is_told_what_it_cannot_know() -> None:
    run = Run(_EIGHT)
    run.ask([1, 2, 3], SamplingParams(max_tokens=2, ignore_eos=True, logit_bias={7: 1.5}))
    run.ask([1, 2, 3, 4], SamplingParams(max_tokens=2, min_tokens=1, stop_token_ids=(9,), seed=3))
    run.ask([1, 2], SamplingParams(max_tokens=2, stop_token_ids=(9,), seed=3))
    run.run()
    told = {new.num_prompt_tokens: new.params for microbatch in run.stages.sent for new in microbatch.new_sampling}
    assert (told[3].seed, told[3].logit_bias) == (4711, ((7, 1.5), (END_TOKEN, -math.inf)))
    assert (told[4].seed, told[4].stop_token_ids, told[4].logit_bias) == (3, (9, END_TOKEN), ())
    assert told[2].stop_token_ids == (9,)


@pytest.mark.parametrize(
    "named",
    [{"logit_bias": {30: 1}}, {"stop_token_ids": (3, 26)}, {"shown_tokens": (26,)}],
    ids=lambda named: next(iter(named)),
)
def test_a_token_that_the_model_has_not_is_told(named: dict[str, Any]) -> None:
    run = Run(_EIGHT)
    reader = run.ask([1], SamplingParams(**named))
    run.run()
    (name,) = named
    assert isinstance(reader.error, UsageError)
    assert str(reader.error).startswith(f"{name}: token ") and str(VOCABULARY.num_tokens - 1) in str(reader.error)


def test_bad_requests_are_told_why() -> None:
    run = Run(dataclasses.replace(_EIGHT, context_length=4))
    readers = [run.ask(prompt, _LONG) for prompt in ([], [1] * 5, [1, -1], [VOCABULARY.num_tokens])]
    run.run()
    for reader, word in zip(readers, ("no tokens", "5 tokens", "token 1 is -1", "token 0 is"), strict=True):
        assert isinstance(reader.error, UsageError)
        assert word in str(reader.error)


def test_a_request_without_a_seed_gets_one() -> None:
    run = Run(dataclasses.replace(_EIGHT, num_stages=1))
    reader = run.ask([1, 2], dataclasses.replace(_LONG, seed=None))
    run.run()
    assert reader.tokens == alone([1, 2], dataclasses.replace(_LONG, seed=4711), 200).tokens


def test_a_reader_that_raises_loses_its_request_only() -> None:
    run = Run(_EIGHT)
    broken: list[Output] = []

    def breaks(output: Output) -> None:
        broken.append(output)
        raise ConnectionError("the client went away")

    run.world.at(0.0, lambda: run.engine.submit([1], _LONG, breaks) and None)
    reader = run.ask([2], _LONG)
    run.run()
    assert len(broken) == 1
    assert len(reader.tokens) == 60
    run.check_nothing_leaks()


@pytest.mark.parametrize("token", [-1, VOCABULARY.num_tokens])
def test_a_token_outside_of_the_vocabulary_counts_as_a_lost_stage(token: int) -> None:
    run = Run(_EIGHT)
    reader = run.ask([1], _LONG)
    deliver = run.engine.deliver

    def corrupt(event: StepResult | StepTiming) -> None:
        if isinstance(event, StepResult) and event.id.step == 3:
            sampled = tuple(dataclasses.replace(found, token=token) for found in event.sampled)
            event = dataclasses.replace(event, sampled=sampled)
        deliver(event)

    run.engine.deliver = corrupt  # type: ignore[method-assign]
    run.run()
    assert isinstance(reader.error, StageLostError)
    assert f"token {token} is not in the vocabulary" in str(reader.error)


def test_what_was_held_back_for_more_to_come_is_sent_in_time() -> None:
    limits = Limits(num_slots=4, context_length=_CONTEXT, max_batch_tokens=8, num_stages=2)
    run = Run(limits, costs=StageCosts(((1, 50.0), (8, 60.0))))  # 10 ms are waited for one more
    readers = [run.ask([3], _LONG, at_s) for at_s in (1.0, 1.008)]
    run.run()
    assert [reader.times_s[0] for reader in readers] == pytest.approx([3.018, 3.018])
    assert len(run.stages.sent[0].slots) == 2


def test_what_was_held_back_is_sent_even_if_its_time_comes_while_the_engine_is_busy() -> None:
    """A clock that goes on between any two looks at it: at the first it is too early to send, at the second not."""
    limits = Limits(num_slots=4, context_length=_CONTEXT, max_batch_tokens=8, num_stages=2)
    run = Run(limits, costs=StageCosts(((1, 50.0), (8, 60.0))))  # 10 ms are waited for one more

    def later() -> float:
        run.world.now_s += 0.007
        return run.world.now_s

    run.engine._now = later
    run.ask([3], _LONG, 1.0)
    run.run()


def test_a_request_waits_for_the_step_under_way_and_for_no_other() -> None:
    limits = Limits(num_slots=4, context_length=_CONTEXT, max_batch_tokens=8, num_stages=2)
    run = Run(limits, costs=StageCosts(((1, 1000.0), (4, 1000.0)), ((1, 500.0), (4, 500.0))), delay_s=lambda *_: 0.5)
    running = run.ask([3], _LONG)
    late = run.ask([5], _LONG, at_s=5.3)
    run.run()
    ends_s = next(time_s for time_s in running.times_s if time_s > 5.3)
    assert late.times_s[0] == pytest.approx(ends_s + 1.0)
    steps_s = np.diff(running.times_s)
    assert sorted(set(steps_s.round(3))) == [1.0, 2.0], "no stage waits for us"


class ThreadedStages:
    """One fake stage, which answers from a thread of its own."""

    def __init__(self, limits: Limits) -> None:
        self._stage = FakeStage(limits)
        self._tokens = TokenFeed()
        self._tokens.begin(0)
        self._sent: queue.SimpleQueue[Microbatch | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self, engine: Engine) -> None:
        self._engine = engine
        self._thread.start()

    def submit(self, microbatch: Microbatch) -> None:
        self._sent.put(microbatch)

    def flush(self) -> None:
        """Nothing is ever held back."""

    def stop(self) -> None:
        self._sent.put(None)
        self._thread.join(timeout=10.0)
        assert not self._thread.is_alive()

    def _work(self) -> None:
        while (microbatch := self._sent.get()) is not None:
            result = self._stage.run(self._tokens.fill(microbatch))
            self._tokens.take(SampledStep.of(result))
            self._engine.deliver(result)


def test_many_threads_may_ask_at_once_and_stopping_ends_everything() -> None:
    limits = Limits(num_slots=3, context_length=5000, max_batch_tokens=8, num_stages=1, max_waiting=100)
    stages = ThreadedStages(limits)
    engine = Engine(stages, VOCABULARY, limits)
    stages.start(engine)
    thread = threading.Thread(target=engine.run, daemon=True)
    thread.start()

    def ask(prompt: list[int], params: SamplingParams) -> queue.SimpleQueue[Output]:
        outputs: queue.SimpleQueue[Output] = queue.SimpleQueue()
        engine.submit(prompt, params, outputs.put)
        return outputs

    def read(outputs: queue.SimpleQueue[Output]) -> list[Output]:
        read = [outputs.get(timeout=10.0)]
        while not is_last(read[-1]):
            read.append(outputs.get(timeout=10.0))
        return read

    endless = ask([9], SamplingParams(seed=1, max_tokens=None, ignore_eos=True))
    with ThreadPoolExecutor(4) as pool:
        asked = [([seed % 20 + 1], dataclasses.replace(_LONG, seed=seed)) for seed in range(20)]
        for (prompt, params), outputs in zip(asked, pool.map(lambda each: read(ask(*each)), asked), strict=True):
            tokens = [output.token for output in outputs if isinstance(output, TokenEvent)]
            assert tokens == alone(prompt, params, 5000).tokens
    assert engine.snapshot().num_requests >= 20
    waiting = [ask([9], SamplingParams(max_tokens=None, ignore_eos=True)) for _ in range(5)]
    engine.stop()
    thread.join(timeout=10.0)
    assert not thread.is_alive()
    for outputs in (endless, *waiting, ask([1], _LONG)):
        last = read(outputs)[-1]
        assert isinstance(last, UnreachableError) or (
            isinstance(last, TokenEvent) and last.finish_reason is FinishReason.CONTEXT
        )
    engine.cancel(1)
    stages.stop()


def test_a_bug_ends_an_epoch_and_not_the_engine() -> None:
    """What no rule foresees must neither leave readers waiting nor end the thread that a repair needs."""
    run = Run(_EIGHT)
    submit = run.stages.submit

    def breaks(microbatch: Microbatch) -> None:
        if microbatch.id.epoch == 1 and microbatch.id.step == 3:
            raise RuntimeError("a bug")
        submit(microbatch)

    run.stages.submit = breaks  # type: ignore[method-assign]
    first = [run.ask([3], _LONG), run.ask([4], _LONG)]
    refused = run.ask([5], _LONG, at_s=50.0)
    run.repair(100.0)
    after = run.ask([6], _LONG, at_s=101.0)
    run.run(may_break=True)
    for reader in (*first, refused):
        assert isinstance(reader.error, UnreachableError)
        assert "coordinator: its engine failed: RuntimeError('a bug')" in str(reader.error)
    assert after.tokens == alone([6], _LONG, 200).tokens
    run.check_nothing_leaks()

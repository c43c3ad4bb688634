"""Stages that die at any moment: every request goes on as if they had not."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.api.embedding import Pooling
from cluster.api.errors import StageLostError
from cluster.api.sampling import SamplingParams
from cluster.engine.events import Reset
from cluster.engine.limits import Limits
from cluster.messages.step import Microbatch
from tests.fakes.fake_stages import FakeDrafter, Reader, alone, logits_row
from tests.unit.engine.test_loop import _CONTEXT, Run

PATIENCE_S = 1000.0
LIMITS = Limits(
    num_slots=4, context_length=_CONTEXT, max_batch_tokens=8, num_stages=3, max_waiting=64, pipeline_prompts=True
)
ALONE = SamplingParams(max_tokens=20, seed=7, ignore_eos=True)


def assert_as_alone(reader: Reader, prompt: list[int], params: SamplingParams) -> None:
    """Token for token, letter for letter, and one end."""
    wanted = alone(prompt, params, _CONTEXT)
    assert (reader.tokens, reader.text, reader.reason) == (wanted.tokens, wanted.text, wanted.reason)
    assert reader.timings is not None
    assert reader.timings.num_tokens == len(wanted.tokens)


def test_a_text_goes_on_where_it_was() -> None:
    run = Run(LIMITS, patience_s=PATIENCE_S)
    readers = [run.ask([1 + place], replace(ALONE, seed=place)) for place in range(6)]
    run.lose(1, at_s=20.5)
    late = run.ask([9], ALONE, at_s=25.0)  # while nobody is there
    run.repair(at_s=40.0)
    run.run()
    for place, reader in enumerate(readers):
        assert_as_alone(reader, [1 + place], replace(ALONE, seed=place))
    assert_as_alone(late, [9], ALONE)
    assert any(reader.tokens and reader.times_s[0] < 20 for reader in readers), "they had begun before"
    run.check_nothing_leaks()


def test_all_go_on_together() -> None:
    """The first one back does not go on while the last waits."""
    run = Run(LIMITS, patience_s=PATIENCE_S)
    readers = [run.ask([1 + place, *range(6, 20)], replace(ALONE, seed=place)) for place in range(4)]
    run.lose(1, at_s=60.5)
    run.repair(at_s=70.0)
    run.run()
    assert all(reader.times_s[0] < 60 for reader in readers), "they had begun before"
    after = [[time_s for time_s in reader.times_s if time_s > 70] for reader in readers]
    assert all(len(times_s) > 1 for times_s in after), after
    assert max(times_s[0] for times_s in after) < min(times_s[1] for times_s in after)
    run.check_nothing_leaks()


def computed_after(run: Run, at_s: float) -> list[int]:
    """Rows that each stage computes from then on; filled while it runs."""
    found: list[int] = []
    run.world.at(at_s, lambda: found.extend(run.stages.num_computed))
    run.run()
    return [now - before for now, before in zip(run.stages.num_computed, found, strict=True)]


@pytest.mark.parametrize("lost", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)])
def test_only_lost_stages_compute_again(lost: tuple[int, ...]) -> None:
    """The others hold all, and give what they kept."""
    run = Run(LIMITS, patience_s=PATIENCE_S)
    readers = [run.ask([1 + place, *range(6, 13)], replace(ALONE, seed=place)) for place in range(4)]
    for stage in lost:
        run.lose(stage, at_s=60.5)
    run.repair(at_s=70.0, keeps=True)
    computed = computed_after(run, 70.5)
    for place, reader in enumerate(readers):
        assert_as_alone(reader, [1 + place, *range(6, 13)], replace(ALONE, seed=place))
    replayed = run.engine.snapshot().outages.num_replayed
    assert replayed > 40
    for stage, num_rows in enumerate(computed):
        least = min(computed)
        assert num_rows == least + replayed if stage in lost else num_rows == least
    run.check_nothing_leaks(may_hold_more=True)


@pytest.mark.parametrize("max_kept", [0, 10])
def test_what_was_not_kept_is_computed_by_all(max_kept: int) -> None:
    run = Run(LIMITS, patience_s=PATIENCE_S, max_kept=max_kept)
    long, short = run.ask(list(range(6, 18)), ALONE), run.ask([1], replace(ALONE, max_tokens=8))
    run.lose(1, at_s=16.5)
    run.repair(at_s=20.0, keeps=True)
    computed = computed_after(run, 20.5)
    assert_as_alone(long, list(range(6, 18)), ALONE)
    assert_as_alone(short, [1], replace(ALONE, max_tokens=8))
    assert (computed[1] > computed[0]) == (max_kept > 0), "the short one is restored if anything is"
    assert computed[0] == computed[2] > 20


def test_nothing_is_computed_again_where_only_a_connection_broke() -> None:
    run = Run(LIMITS, patience_s=PATIENCE_S)
    readers = [run.ask([1 + place, *range(6, 13)], replace(ALONE, seed=place)) for place in range(4)]
    run.world.at(60.5, lambda: run.engine.cut(run.stages.cut()))
    run.repair(at_s=70.0, keeps=True)
    run.run()
    for place, reader in enumerate(readers):
        assert_as_alone(reader, [1 + place, *range(6, 13)], replace(ALONE, seed=place))
    assert run.engine.snapshot().outages.num_replayed == 0
    run.check_nothing_leaks(may_hold_more=True)


def test_who_was_being_restored_when_a_stage_died_is_computed_whole() -> None:
    run = Run(replace(LIMITS, max_batch_tokens=4), patience_s=PATIENCE_S)
    readers = [run.ask([1 + place, *range(6, 13)], replace(ALONE, seed=place)) for place in range(3)]
    for at_s, stage in ((60.5, 2), (73.5, 1)):
        run.lose(stage, at_s=at_s)
        run.repair(at_s=at_s + 6, keeps=True)
    run.run()
    for place, reader in enumerate(readers):
        assert_as_alone(reader, [1 + place, *range(6, 13)], replace(ALONE, seed=place))
    run.check_nothing_leaks(may_hold_more=True)


@pytest.mark.parametrize("patience_s", [0.0, 10.0])
def test_patience_has_an_end(patience_s: float) -> None:
    run = Run(LIMITS, patience_s=patience_s)
    reader = run.ask([1], ALONE)
    run.lose(0, at_s=5.5)
    during = run.ask([2], ALONE, at_s=6.0)
    after = run.ask([3], ALONE, at_s=20.0)
    run.repair(at_s=30.0)
    again = run.ask([4], ALONE, at_s=31.0)
    run.run()
    for lost, ended_s in ((reader, 5.5 + patience_s), (during, max(6.0, 5.5 + patience_s)), (after, 20.0)):
        assert isinstance(lost.error, StageLostError)
        assert str(lost.error).startswith("stage 0: lost: killed by signal 9; ")
        assert lost.ended_s == pytest.approx(ended_s)
    assert_as_alone(again, [4], ALONE)


def test_patience_begins_anew_while_the_stages_come_along() -> None:
    run = Run(LIMITS, patience_s=10.0)
    reader = run.ask([1], ALONE)
    run.lose(0, at_s=5.5)
    for at_s in (12.0, 20.0, 28.0):  # never ten seconds without a word
        run.world.at(at_s, run.engine.expect)
    run.repair(at_s=36.0)
    run.world.at(90.0, run.engine.expect)  # of no meaning where nobody waits
    run.run()
    assert_as_alone(reader, [1], ALONE)
    run.check_nothing_leaks()


def test_a_request_that_is_held_can_be_cancelled() -> None:
    run = Run(LIMITS, patience_s=PATIENCE_S)
    reader = run.ask([1], ALONE, cancel_after_s=10.0)
    run.lose(0, at_s=5.5)
    run.repair(at_s=40.0)
    run.run()
    assert reader.ended_s == pytest.approx(10.0)
    run.check_nothing_leaks()


def test_logits_scores_and_progress_are_told_once() -> None:
    run = Run(replace(LIMITS, max_batch_tokens=4), patience_s=PATIENCE_S)
    prompt = [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    logits = run.ask(prompt, None)
    scored = run.ask(prompt[:6], replace(ALONE, prompt_logprobs=1, report_progress=True))
    vector = run.ask(prompt[:7], Pooling.LAST)
    for at_s in (4.5, 14.5, 30.5):
        run.lose(2, at_s=at_s)
        run.repair(at_s=at_s + 3)
    run.run()
    assert np.array_equal(logits.logits, np.array([logits_row(prompt[: row + 1]) for row in range(len(prompt))]))
    assert_as_alone(scored, prompt[:6], ALONE)
    told = [event.prompt_logprobs for event in scored.events if event.prompt_logprobs]
    assert [len(one) for one in told] == [6]
    assert vector.error is None
    with_token = next(place for place, event in enumerate(scored.events) if event.token is not None)
    assert all(event.token is not None or event.finish_reason for event in scored.events[with_token:])


def test_a_request_that_stages_die_of_again_and_again_ends_alone() -> None:
    """The stages die whenever they compute a row of the poison: of that alone, in the end."""
    run = Run(LIMITS, patience_s=PATIENCE_S)
    beside = [run.ask([1 + place], replace(ALONE, seed=place)) for place in range(3)]
    poison = run.ask([14, 14], ALONE)
    waiting = [run.ask([8 + place], replace(ALONE, seed=place)) for place in range(5)]
    submit, deaths = run.stages.submit, []

    def poisoned(microbatch: Microbatch) -> None:
        submit(microbatch)
        if 14 in microbatch.tokens[microbatch.positions == 0].tolist():
            deaths.append(run.world.now_s)
            run.lose(1, at_s=run.world.now_s + 0.5)
            run.repair(at_s=run.world.now_s + 9)

    run.stages.submit = poisoned  # type: ignore[method-assign]
    run.run()
    assert len(deaths) == 3
    assert isinstance(poison.error, StageLostError)
    assert "killed by signal 9, for the third time while it was computed; " in str(poison.error)
    for place, reader in enumerate(beside):
        assert_as_alone(reader, [1 + place], replace(ALONE, seed=place))
    for place, reader in enumerate(waiting):
        assert_as_alone(reader, [8 + place], replace(ALONE, seed=place))
    run.check_nothing_leaks(may_hold_more=True)


@pytest.mark.parametrize("are_same", [False, True])
def test_broken_connections_are_nobodys_fault_where_the_stages_live(are_same: bool) -> None:
    run = Run(LIMITS, patience_s=PATIENCE_S)
    prompt = list(range(6, 20))
    reader = run.ask(prompt, ALONE)
    for place in range(6):  # no token comes between
        at_s = 0.5 + 2 * place

        def cut() -> None:
            run.engine.cut(run.stages.lose(1, "its stream broke"))

        def rewire() -> None:
            run.stages.restart(run.stages.epoch + 1)
            run.engine.reset(Reset(run.stages.epoch, are_same=are_same))

        run.world.at(at_s, cut)
        run.world.at(at_s + 0.5, rewire)
    run.run()
    if are_same:
        assert_as_alone(reader, prompt, ALONE)
    else:
        assert "for the third time while it was computed" in str(reader.error)


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.booleans(), st.booleans(), st.booleans())
def test_stages_may_die_at_any_moment(seed: int, can_truncate: bool, drafts: bool, keeps: bool) -> None:
    """Any of them, in any order, twice, during a replay, with arrivals and cancels between."""
    draw = random.Random(seed)
    limits = Limits(
        num_slots=draw.randint(1, 5),
        context_length=_CONTEXT,
        max_batch_tokens=draw.choice((1, 3, 8, 32)),
        num_stages=draw.randint(1, 4),
        max_waiting=64,
        pipeline_prompts=draw.random() < 0.5,
        can_truncate=can_truncate,
        max_runs=draw.choice((1, 2, 5)),
    )
    run = Run(
        limits,
        lambda stage, num_rows: draw.choice((0.5, 1.0, 3.0)),
        drafter=FakeDrafter(seed) if drafts else None,
        patience_s=PATIENCE_S,
        max_kept=draw.choice((0, 12, 1000)),
    )
    asked: list[tuple[Reader, list[int], SamplingParams, bool]] = []
    for place in range(draw.randint(1, 12)):
        prompt = [draw.randint(1, 20) for _ in range(draw.randint(1, 24))]
        prompt = [token if token != 5 else 6 for token in prompt]
        params = SamplingParams(max_tokens=draw.randint(1, 20), seed=place, stop=draw.choice(((), ("stop",), ("é",))))
        cancel_after_s = draw.uniform(1, 80) if draw.random() < 0.2 else None
        reader = run.ask(prompt, params, draw.uniform(0, 60), cancel_after_s, client=draw.choice("ab"))
        asked.append((reader, prompt, params, cancel_after_s is not None))
    at_s = 0.0
    for _ in range(draw.randint(1, 6)):
        at_s += draw.uniform(0.1, 40)
        for _ in range(draw.choice((1, 1, 1, 2))):
            run.lose(draw.randrange(limits.num_stages), at_s, tells=draw.random() < 0.7)
        at_s += draw.uniform(0.1, 20)
        run.repair(at_s, keeps=keeps)
    run.run()
    for reader, prompt, params, may_be_cancelled in asked:
        if reader.error is not None:
            assert "for the third time while it was computed" in str(reader.error)
        elif not may_be_cancelled:
            assert_as_alone(reader, prompt, params)
        assert reader.tokens == alone(prompt, params, _CONTEXT).tokens[: len(reader.tokens)]
    run.check_nothing_leaks(may_hold_more=keeps, max_surplus=8 if limits.max_runs == 1 else 40)

"""How many drafts are under way at a time: as many as bring most, by what turns and intervals were seen to take."""

from __future__ import annotations

import random

import pytest

from cluster.api.sampling import SamplingParams
from cluster.engine.batch import Batch, form_batch
from cluster.engine.chunk import Chunk, next_row
from cluster.engine.cost.model import StepCostModel
from cluster.engine.cost.tuning import LEAST_RUN_RATE
from cluster.engine.drafting.chain import Chain, best_chain, tokens_s
from cluster.engine.drafting.lookup import LookupDrafter
from cluster.engine.drafting.pace import Pace
from cluster.engine.drafting.speculation import Speculation
from cluster.engine.limits import Limits
from cluster.engine.sequence import Sequence
from cluster.messages.stage import StageCosts
from cluster.messages.step import StepId

FLAT = ((1, 10.0), (16, 10.0))  # ms: rows cost nothing
STEEP = ((1, 10.0), (16, 160.0))  # a row costs a step


class Rated:
    def __init__(self, rate: float) -> None:
        self.of = rate

    def draft(self, sequence: Sequence, max_tokens: int) -> list[int]:
        return [7] * max_tokens

    def rate(self, sequence: Sequence) -> float:
        return self.of

    def forget(self, request_id: int) -> None:
        pass


def stages(num_stages: int, decode_ms: tuple[tuple[int, float], ...]) -> StepCostModel:
    costs = StepCostModel(num_stages, 64)
    costs.begin([StageCosts(decode_ms)] * num_stages)
    return costs


def sequence(max_tokens: int | None = None) -> Sequence:
    found = Sequence(1, (1, 2), SamplingParams(seed=1, max_tokens=max_tokens))
    found.slot, found.num_computed = 0, 2
    found.log.append(3)
    return found


def answered(length: int, num_runs: int, *, is_behind: bool = False, follows_runs: bool = False) -> Batch:
    one = sequence()
    draft = (7,) * length
    chunk = next_row(one, draft, num_runs)
    if is_behind:
        chunk = Chunk(one, 9, 9 + length + 1, length + 1, (*draft, 7), one.branch, num_runs)
    return form_batch(
        StepId(1, 0, 1), [chunk], (), decodes=True, exclusive=False, after=None, sent_s=0.0, follows_runs=follows_runs
    )


@pytest.mark.parametrize(("rate", "length", "interval"), [(0.9, 3, 0.3), (0.5, 0, 0.5), (0.99, 15, 0.1), (0.3, 1, 1.0)])
def test_what_a_chain_promises_is_what_it_brings(rate: float, length: int, interval: float) -> None:
    """Chains are played, with guesses that are right at that rate: tokens until the first wrong one, and their time."""
    draw, tokens, took_s = random.Random(5), 0, 0.0
    for _ in range(20_000):
        took_s += 1.0
        place = 1  # of the token that is drawn, within the run and the one behind it
        while True:
            tokens += 1
            if draw.random() >= rate:
                break
            if place > length:
                took_s, place = took_s + interval, 0
            place += 1
    assert tokens_s(rate, length, 1.0, interval) == pytest.approx(tokens / took_s, rel=0.05)


def test_as_many_runs_as_stages_where_messages_take_nothing() -> None:
    pace = Pace(stages(3, FLAT))
    found = best_chain(0.95, 15, 4, pace, exclusive=False)
    assert found is not None
    assert (found.length, found.num_runs) == (15, 3), "a fourth one would wait for the slowest stage"
    assert best_chain(LEAST_RUN_RATE / 2, 15, 4, pace, exclusive=False) is None
    assert best_chain(0.95, 15, 1, pace, exclusive=False) is None
    steep = best_chain(0.95, 15, 4, Pace(stages(3, STEEP)), exclusive=False)
    assert steep is not None
    assert steep.length == 0, "each row costs a step: several go one behind the other, not together"


def test_long_ways_ask_for_more_runs() -> None:
    pace = Pace(stages(3, FLAT))
    pace.saw(answered(0, 1), 0.088)  # most of them are messages
    found = best_chain(0.95, 15, 8, pace, exclusive=False)
    assert found is not None
    assert found.num_runs == 8
    assert pace.turn_s(16, 8, exclusive=False) == pytest.approx(0.088)
    assert pace.interval_s(16, 8, exclusive=False) == pytest.approx(0.011)


def test_nothing_is_promised_before_anything_is_known() -> None:
    assert best_chain(0.95, 15, 4, Pace(StepCostModel(3, 64)), exclusive=False) is None


def test_what_was_seen_counts_more_than_what_was_promised() -> None:
    pace = Pace(stages(3, FLAT))
    pace.saw(answered(0, 1), 0.030)
    pace.saw_run(answered(3, 3), 0.001, 0.050, exclusive=False)
    assert pace.turn_s(4, 3, exclusive=False) == pytest.approx(0.050, rel=0.01)
    pace.saw_run(answered(3, 3, is_behind=True), 0.040, 0.090, exclusive=False)
    assert pace.interval_s(4, 3, exclusive=False) == pytest.approx(0.040, rel=0.02)
    void = answered(3, 3, is_behind=True)
    void.chunks[0].sequence.branch += 1
    pace.saw_run(void, 9.0, 9.0, exclusive=False)
    assert pace.interval_s(4, 3, exclusive=False) == pytest.approx(0.040, rel=0.02), "nobody waits for it"
    pace.saw_run(answered(3, 3), 9.0, 9.0, exclusive=False)
    assert pace.turn_s(4, 3, exclusive=False) < 0.07, "something else took the machine"
    before_s = pace.turn_s(4, 3, exclusive=False)
    for _ in range(2000):
        pace.saw(answered(0, 1), 0.030)
    assert 0.030 <= pace.turn_s(4, 3, exclusive=False) < before_s, "it is tried again, some day"
    pace.forget()
    assert pace.turn_s(4, 3, exclusive=False) == pytest.approx(0.030)


def speculation(rate: float, decode_ms: tuple[tuple[int, float], ...], max_runs: int = 4) -> Speculation:
    return Speculation(Rated(rate), Limits(8, 200, 64, 3, max_runs=max_runs), stages(3, decode_ms))


def chain(found: Speculation) -> Chain | None:
    return found.chain(sequence())


def test_one_draft_at_a_time_where_several_bring_little_more() -> None:
    assert chain(speculation(0.9, FLAT)) is not None
    assert chain(speculation(0.9, FLAT, max_runs=1)) is None
    assert chain(speculation(0.1, FLAT)) is None
    assert chain(speculation(0.4, FLAT)) is None, "hardly any would be right behind the first"
    found = speculation(0.9, FLAT)
    found.answered(answered(0, 1), 0.030, 0.030)
    for length in (0, 1, 2, 3, 4, 5, 7, 11, 15):
        for num_runs in (2, 3, 4):
            for is_behind in (False, True):
                found.answered(answered(length, num_runs, is_behind=is_behind), 0.060, 0.090)
    assert chain(found) is None, "the stages share cores: they took no less time for it"


def test_a_step_behind_dropped_ones_says_nothing_of_what_steps_take() -> None:
    found = speculation(0.9, FLAT)
    found.answered(answered(0, 1, follows_runs=True), 0.001, 0.001)
    assert found.pace.plain_s(1, exclusive=False) == pytest.approx(0.030)


def test_guesses_go_on_behind_those_that_are_under_way_and_end_with_the_text() -> None:
    drafter = LookupDrafter()
    text = Sequence(1, (1, 2, 3, 4, 5, 6, 1, 2, 3), SamplingParams(seed=1, max_tokens=9))
    found = Speculation(drafter, Limits(8, 200, 64, 3, max_runs=4), stages(3, FLAT))
    drafter.rate(text)
    assert found.run(text, 3) == (4, 5, 6)
    text.ahead = [4, 5, 6]
    assert found.run(text, 4) == (1, 2, 3, 4)
    text.ahead = [4, 5, 9]
    assert found.run(text, 4) == (), "the text is not thought to go on like that any more"
    text.ahead = [4, 5, 6, 1, 2, 3, 4]
    assert found.run(text, 4) == (5,), "behind it comes the last token"
    text.ahead.append(5)
    assert found.run(text, 4) == ()

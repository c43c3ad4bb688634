"""How many tokens are guessed: as many as bring most in a time, and none where that is none."""

from __future__ import annotations

import pytest

from cluster.api.sampling import SamplingParams
from cluster.engine.batch import form_batch
from cluster.engine.chunk import next_row
from cluster.engine.cost.model import StepCostModel
from cluster.engine.drafting.speculation import Speculation
from cluster.engine.limits import Limits
from cluster.engine.sequence import Sequence
from cluster.messages.stage import StageCosts
from cluster.messages.step import StepId

_LIMITS = Limits(num_slots=8, context_length=200, max_batch_tokens=64, num_stages=1, max_drafting=2)


class Rated:
    """Guesses zeros, and says how often they are right."""

    def __init__(self, *rates: float) -> None:
        self._rates = rates  # by request id

    def draft(self, sequence: Sequence, max_tokens: int) -> list[int]:
        return [0] * max_tokens

    def rate(self, sequence: Sequence) -> float:
        return self._rates[sequence.request_id]

    def forget(self, request_id: int) -> None:
        raise AssertionError("nothing ends here")


def sequences(number: int, max_tokens: int | None = None) -> list[Sequence]:
    found = [Sequence(each, (1, 2), SamplingParams(seed=1, max_tokens=max_tokens)) for each in range(number)]
    for sequence in found:
        sequence.slot = sequence.request_id
        sequence.log.append(3)
        sequence.num_computed = 2
    return found


def speculation(drafter: Rated, *decode_ms: tuple[int, float], can_truncate: bool = True) -> Speculation:
    costs = StepCostModel(1, 64)
    if decode_ms:
        costs.begin([StageCosts(decode_ms)])
    limits = Limits(8, 200, 64, 1, can_truncate=can_truncate, max_drafting=2)
    return Speculation(drafter, limits, costs)


def lengths(found: Speculation, chosen: list[Sequence], max_draft: int = 15, num_decoding: int = 1) -> list[int]:
    return [len(draft) for draft in found.drafts(chosen, max_draft, num_decoding, exclusive=False)]


FLAT = ((1, 10.0), (16, 10.0))  # ms: rows cost nothing
STEEP = ((1, 10.0), (16, 160.0))  # a row costs a step


@pytest.mark.parametrize(
    ("rate", "decode_ms", "wanted"),
    [
        (1.0, FLAT, 15),
        (0.02, FLAT, 0),  # within what steps vary by
        (0.7, STEEP, 0),
        (0.0, FLAT, 0),
        (0.7, ((1, 10.0), (4, 12.0), (5, 30.0), (16, 100.0)), 3),
        (1.0, (), 15),  # nothing is known: it is tried
    ],
)
def test_a_draft_is_as_long_as_pays(rate: float, decode_ms: tuple[tuple[int, float], ...], wanted: int) -> None:
    assert lengths(speculation(Rated(rate), *decode_ms), sequences(1)) == [wanted]


def test_a_draft_keeps_its_bounds() -> None:
    found = speculation(Rated(1.0), *FLAT)
    assert lengths(found, sequences(1), max_draft=6) == [5]
    assert lengths(found, sequences(1), max_draft=0) == [0]
    assert lengths(found, sequences(1, max_tokens=4)) == [2], "behind it comes the last token"
    assert lengths(found, sequences(1), num_decoding=3) == [0], "beside too many others"
    assert lengths(speculation(Rated(1.0), *FLAT, can_truncate=False), sequences(1)) == [0]


def test_sequences_together_have_drafts_of_one_length_or_none() -> None:
    assert lengths(speculation(Rated(0.9, 0.6), *FLAT), sequences(2), num_decoding=2) in ([15, 15], [11, 11])
    one_guesses = speculation(Rated(0.9, 0.0), *FLAT)
    assert lengths(one_guesses, sequences(2), num_decoding=2)[1] == 0
    two_calls = ((1, 10.0), (2, 10.0), (4, 19.0), (32, 200.0))  # the second call eats what the guesses bring
    assert lengths(speculation(Rated(0.3, 0.0), *two_calls), sequences(2), num_decoding=2) == [0, 0]


def saw(found: Speculation, length: int, took_s: float, step: int, *, is_ahead: bool = False) -> None:
    (sequence,) = sequences(1)
    if is_ahead:
        sequence.num_in_flight = 1
    chunks = [next_row(sequence, (0,) * length)]
    batch = form_batch(StepId(1, 0, step), chunks, (), decodes=True, exclusive=False, after=None, sent_s=0.0)
    found.answered(batch, took_s, took_s)


def test_what_steps_took_counts_more_than_what_was_promised() -> None:
    found = speculation(Rated(0.7), *FLAT)
    assert lengths(found, sequences(1)) == [15]
    saw(found, 0, 0.010, 0)
    for length in (1, 2, 3, 4, 5, 7, 11, 15):
        saw(found, length, 0.015 if length == 2 else 0.100, length)
    assert lengths(found, sequences(1)) == [2]
    saw(found, 2, 9.0, 99)  # something else took the machine
    assert lengths(found, sequences(1)) == [2]
    for step in range(100, 120):
        saw(found, 2, 0.1, step)
    assert lengths(found, sequences(1)) == [0]
    found.pace.forget()
    assert lengths(found, sequences(1)) == [15], "other stages"


def test_the_next_step_waits_only_where_the_token_is_likely_known() -> None:
    def waits(rate: float, *decode_ms: tuple[int, float], num_decoding: int = 1) -> bool:
        found = speculation(Rated(rate), *decode_ms)
        return found.waits_for(sequences(1), num_decoding, exclusive=False)

    assert waits(0.9, *FLAT)
    assert not waits(0.5, *FLAT)
    assert not waits(0.9, *STEEP)
    assert not waits(0.9, *FLAT, num_decoding=3)
    assert not speculation(Rated(0.9), *FLAT).waits_for([], 1, exclusive=False)
    late = speculation(Rated(0.6), *FLAT)
    assert late.waits_for(sequences(1), 1, exclusive=False)
    saw(late, 0, 0.010, 0, is_ahead=True)
    for step in range(1, 9):
        saw(late, 0, 0.090, step)  # one that has to wait for its token takes many times as long
    assert not late.waits_for(sequences(1), 1, exclusive=False)


def test_a_draft_that_was_slow_once_is_tried_again() -> None:
    found = speculation(Rated(0.7), *FLAT)
    saw(found, 0, 0.010, 0)
    for length in (1, 2, 3, 4, 5, 7, 11, 15):
        saw(found, length, 9.0, length)
    assert lengths(found, sequences(1)) == [0]
    tries = [
        step for step in range(100, 2000) if not saw(found, 0, 0.010, step) and lengths(found, sequences(1)) != [0]
    ]
    assert tries
    assert tries[0] > 150

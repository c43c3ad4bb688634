"""What the model that drafts is told of texts, and what becomes of its guesses."""

from __future__ import annotations

import pytest

from cluster.coordinator.drafting.follower import Told
from cluster.coordinator.drafting.slots import DraftSlots
from cluster.coordinator.drafting.text import GuessedText
from cluster.engine.cost.tuning import DRAFT_MEMORY, FIRST_MODEL_RATE


def test_a_model_is_told_what_is_new() -> None:
    slots = DraftSlots(2)
    assert slots.tell(7, [1, 2, 3]) == Told(0, 0, (1, 2, 3))
    assert slots.tell(7, [1, 2, 3, 4, 5]) == Told(0, 3, (4, 5))
    assert slots.tell(7, [1, 2, 3, 4, 5]) == Told(0, 5, ())
    assert slots.tell(8, [1, 9]) == Told(1, 0, (1, 9))


def test_the_text_that_was_longest_not_asked_about_gives_way() -> None:
    slots = DraftSlots(2)
    slots.tell(1, [1, 2])
    slots.tell(2, [5, 6])
    slots.tell(1, [1, 2, 3])
    assert slots.tell(3, [5, 6, 7]) == Told(1, 2, (7,)), "2 had that slot, and what it holds begins so, too"
    assert slots.tell(2, [5, 6, 8]).slot == 0


def test_a_text_begins_where_an_ended_one_did() -> None:
    slots = DraftSlots(3)
    for request_id, log in enumerate(([1, 2, 3, 4], [1, 2, 9], [7])):
        slots.tell(request_id, log)
    for request_id in (0, 1, 2, 99):
        slots.forget(request_id)
    assert slots.tell(5, [1, 2, 9, 9]) == Told(1, 3, (9,))
    assert slots.tell(6, [1, 2, 9, 9]) == Told(0, 2, (9, 9))


def test_guesses_are_judged_by_the_text() -> None:
    text = GuessedText(2, 0.5)
    log = [1, 2, 3]
    text.read(log)
    text.take(3, (4, 5, 6))
    assert text.known(log) == (4, 5, 6)
    before = text.rate
    log += [4]
    assert text.known(log) == (5, 6), "what the text has borne out is done"
    text.read(log)
    assert text.rate == pytest.approx(before + (1 - DRAFT_MEMORY) * (1 - before))
    before = text.rate
    log += [9, 6]
    assert text.known(log) == ()
    text.read(log)
    # The guess behind a wrong one is no guess of this text: its token lets the rate return by a little.
    assert text.rate == pytest.approx(before * DRAFT_MEMORY, rel=0.01)
    assert text.known(log) == ()


def test_guesses_that_come_late_count_as_far_as_they_are_right() -> None:
    text = GuessedText(1, 0.5)
    text.read([1, 2, 3])
    text.take(1, (2, 3, 4))
    assert text.known([1, 2, 3]) == (4,)
    text.take(1, (2, 9, 4))
    assert text.known([1, 2, 3]) == ()


def test_a_rate_that_fell_is_slowly_forgotten() -> None:
    text, log = GuessedText(0, 0.0), [1] * 100
    text.read(log)
    assert 0 < text.rate < 0.2
    log += [1] * 2000
    text.read(log)
    assert text.rate == pytest.approx(FIRST_MODEL_RATE, abs=0.02)

"""What a text said before tells what it says next, in bounded memory."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.sampling import SamplingParams
from cluster.engine.cost import tuning
from cluster.engine.drafting import ngrams
from cluster.engine.drafting.lookup import LookupDrafter
from cluster.engine.drafting.ngrams import Ngrams
from cluster.engine.sequence import Sequence

_ALL = 10**9
_LONGEST, _SHORTEST = tuning.LONGEST_NGRAM, tuning.SHORTEST_NGRAM


def expected(log: list[int], num_tokens: int) -> list[int]:
    """By looking at all of the text: what followed the last place at which its longest known end was."""
    for length in range(min(_LONGEST, len(log) - 1), _SHORTEST - 1, -1):
        for end in range(len(log) - 1, length - 1, -1):
            if log[end - length : end] == log[-length:]:
                guesses = list(log)
                for _ in range(num_tokens):
                    guesses.append(guesses[end + len(guesses) - len(log)])
                return guesses[len(log) :]
    return []


@given(st.lists(st.integers(0, 2), min_size=1, max_size=40), st.integers(1, 9), st.integers(1, 7))
def test_guesses_are_what_came_behind_the_longest_known_end(log: list[int], num_tokens: int, step: int) -> None:
    text = Ngrams(1)
    while not text.read(log, step):
        pass
    assert text.guesses(log, num_tokens) == expected(log, num_tokens)
    assert (text.rate > 0) == bool(expected(log, 1))


def test_it_reads_on_where_it_was() -> None:
    log = [1, 2, 3, 4]
    text = Ngrams(4)
    assert text.read(log, _ALL)
    assert text.guesses(log, 3) == []
    log += [1, 2]
    assert not text.read(log, 1)
    assert text.read(log, 1)
    assert text.guesses(log, 6) == [3, 4, 1, 2, 3, 4]


def test_its_own_text_tells_how_often_it_is_right() -> None:
    copied = Ngrams(10)
    log = [*range(10), *range(10), *range(10)]
    copied.read(log, _ALL)
    assert copied.rate > 0.85
    draw = random.Random(7)
    noise = [draw.randrange(6) for _ in range(2000)]
    text = Ngrams(1)
    rates = [text.rate for end in range(1, len(noise)) if text.read(noise[:end], _ALL)]
    late = rates[1000:]
    assert 0.1 < sum(late) / len(late) < 0.25, "one of six"


def test_what_the_prompt_repeats_is_no_evidence() -> None:
    log = [1, 2, 1, 3] * 9
    text = Ngrams(len(log))
    text.read(log, _ALL)
    assert text.rate == tuning.FIRST_RATES[_LONGEST]


def test_its_memory_is_bounded_and_the_newest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "MOST_NGRAMS", 400)
    text = Ngrams(1)
    log = list(range(5000))
    most = 0
    for end in range(1, len(log) + 1):
        text.read(log[:end] if end % 1000 == 0 else log, 1)
        most = max(most, text.num_held)
    assert most <= 404
    log += [4990, 4991, 4992]
    text.read(log, _ALL)
    assert text.guesses(log, 2) == [4993, 4994]
    log += [7, 8, 9]
    text.read(log, _ALL)
    assert text.guesses(log, 2) == [], "forgotten long ago"


def test_the_drafter_reads_long_prompts_piece_by_piece_and_forgets_what_ended() -> None:
    drafter = LookupDrafter()
    prompt = tuple(range(300)) * 4
    sequence = Sequence(1, prompt, SamplingParams(seed=1))
    asked = 0
    while not drafter.rate(sequence):
        assert drafter.draft(sequence, 3) == [] or asked
        asked += 1
    assert 0 < asked <= len(prompt) // tuning.MOST_READ
    assert drafter.draft(sequence, 3) == [0, 1, 2]
    drafter.forget(1)
    drafter.forget(2)
    assert not drafter._texts
    assert drafter.rate(sequence) == 0, "read anew"

"""A sampler by itself: on numpy's logits, with tokens that were never computed here."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.native.conftest import ModelFiles, SamplingSlice, prompt, run, sampler
from worker_native import Sampler

VOCAB = 300
PROMPT = [5, 6, 7, 5, 5, 9]


def logits_of(num_rows: int, seed: int = 1) -> NDArray[np.float32]:
    return (4 * np.random.default_rng(seed).standard_normal((num_rows, VOCAB))).astype(np.float32)


def holding(*prompts: list[int], n_ctx: int = 64) -> Sampler:
    """Each slot holds one of the prompts."""
    made = Sampler(vocab_size=VOCAB, n_slots=len(prompts), n_ctx=n_ctx)
    for slot, tokens in enumerate(prompts):
        keep(made, tokens, slot)
    return made


def keep(one: Sampler, tokens: list[int], slot: int, start: int = 0) -> None:
    positions = np.arange(start, start + len(tokens), dtype=np.int32)
    one.keep(np.array(tokens, np.int32), positions, np.full(len(tokens), slot, np.int32))


def tokens_of(one: Sampler, logits: NDArray[np.float32], *lists: list[int]) -> list[int]:
    return [drawn.token for drawn in one.sample(logits, *lists)]


def test_greedy_is_argmax() -> None:
    one = holding(PROMPT)
    one.set(0, sampler(temperature=0))
    logits = logits_of(6)
    assert tokens_of(one, logits, [3, 0, 5], [0] * 3, [1, 2, 3]) == logits.argmax(1)[[3, 0, 5]].tolist()


def test_a_slice_and_numpy_draw_the_same(model_file: ModelFiles) -> None:
    """From the slice's own block, which is no copy, and from a copy of it."""
    opened = SamplingSlice(str(model_file()), n_ctx=64, n_slots=2, n_batch=32, n_ubatch=32)
    logits = run([opened], prompt(PROMPT, slot=1))
    assert np.array_equal(opened.wanted_logits(), logits)
    other = Sampler(vocab_size=opened.vocab_size, n_slots=2, n_ctx=64)
    keep(other, PROMPT, 1)
    for one in (opened.sampler, other):
        one.set(1, sampler(seed=11, temperature=1.5, repeat_penalty=1.3, logprobs=3))
    lists = list(range(6)), [1] * 6, list(range(6))
    first = opened.sampler.sample(opened.wanted_logits(), *lists)
    second = other.sample(logits, *lists)
    assert [(d.token, d.logprob, d.top) for d in first] == [(d.token, d.logprob, d.top) for d in second]


def test_several_rows_of_one_slot_are_each_drawn_as_alone() -> None:
    """Rows of guessed tokens, as speculation has them: each sees the tokens before its own position."""
    logits = logits_of(4)
    params = sampler(seed=3, temperature=0.9, repeat_penalty=2.0, presence_penalty=1.0)
    guessed = [int(logits[row].argmax()) for row in range(3)]
    one = holding(PROMPT, PROMPT)
    for slot in (0, 1):
        one.set(slot, params)
    keep(one, guessed, 0, start=len(PROMPT))
    positions = list(range(len(PROMPT) - 1, len(PROMPT) + 3))
    together = one.sample(logits, [0, 1, 2, 3], [0] * 4, positions)
    for row, position in enumerate(positions):
        if row > 0:
            keep(one, [guessed[row - 1]], 1, start=position)
        (alone,) = one.sample(logits, [row], [1], [position])
        assert (alone.token, alone.logprob) == (together[row].token, together[row].logprob)


def test_what_was_guessed_wrong_is_written_over() -> None:
    logits = np.zeros((1, VOCAB), np.float32)
    logits[0, [8, 9]] = 2.0, 1.9
    one = holding([1, 8])
    one.set(0, sampler(temperature=0, repeat_penalty=100.0))
    assert tokens_of(one, logits, [0], [0], [1]) == [9]
    keep(one, [2], 0, start=1)
    assert tokens_of(one, logits, [0], [0], [1]) == [8]
    with pytest.raises(ValueError, match="positions"):
        one.sample(logits, [0], [0], [2])


def test_a_copied_slot_brings_its_tokens_and_not_its_parameters() -> None:
    logits = np.zeros((1, VOCAB), np.float32)
    logits[0, [7, 9]] = 2.0, 1.9
    one = holding([1, 7, 3], [])
    one.set(0, sampler(temperature=0, repeat_penalty=100.0))
    one.set(1, sampler(temperature=0))
    one.prepare_slot(1, 0, 2)
    with pytest.raises(ValueError, match="call set first"):
        one.sample(logits, [0], [1], [1])
    one.set(1, sampler(temperature=0, repeat_penalty=100.0))
    assert tokens_of(one, logits, [0, 0], [1, 0], [1, 2]) == [9, 9]
    one.prepare_slot(0, 0, 1)
    assert tokens_of(one, logits, [0], [0], [0]) == [7]


def test_a_bad_row_is_told_in_its_place() -> None:
    logits = logits_of(3)
    logits[1, 40] = np.nan
    one = holding(PROMPT)
    one.set(0, sampler(temperature=0))
    first, bad, last = one.sample(logits, [0, 1, 2], [0] * 3, [1, 2, 3])
    assert "not finite" in bad.error
    assert not first.error and not last.error
    assert (first.token, last.token) == (logits[0].argmax(), logits[2].argmax())


def test_nothing_is_asked_for() -> None:
    one = holding(PROMPT)
    assert one.sample(logits_of(0), [], [], []) == []
    assert (one.vocab_size, one.n_slots) == (VOCAB, 1)


def test_logits_that_are_held_stay_when_the_slice_goes_on(model_file: ModelFiles) -> None:
    opened = SamplingSlice(str(model_file()), n_ctx=64, n_slots=2, n_batch=32, n_ubatch=32)
    run([opened], prompt(PROMPT))
    held = opened.wanted_logits()
    copy = held.copy()
    run([opened], prompt(PROMPT, slot=1))
    run([opened], prompt([3, 4], start=len(PROMPT)))
    assert opened.wanted_logits().shape == (2, opened.vocab_size)
    opened.close()
    assert np.array_equal(held, copy)
    with pytest.raises(ValueError, match="read-only"):
        held[0, 0] = 1

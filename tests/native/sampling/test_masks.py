"""What a mask forbids is never drawn, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.native.conftest import sampler
from tests.native.sampling.test_alone import PROMPT, VOCAB, holding, logits_of


def mask_of(allowed: NDArray[np.bool_]) -> NDArray[np.int32]:
    padded = np.zeros(-(-len(allowed) // 32) * 32, bool)
    padded[: len(allowed)] = allowed
    return np.packbits(padded, bitorder="little").view(np.int32)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
@pytest.mark.parametrize(
    "params",
    [
        {"temperature": 0.0},
        {"temperature": 0.0, "repeat_penalty": 1.5, "presence_penalty": 0.5},
        {"temperature": 1.3},
        {"temperature": 1.3, "top_k": 5},
        {"temperature": 1.0, "top_k": 40, "top_p": 0.9, "min_p": 0.01, "frequency_penalty": -2.0},
    ],
    ids=str,
)
def test_a_draw_is_that_from_logits_without_what_is_forbidden(params: dict[str, float], share: float) -> None:
    """Its log probabilities are those of all logits, though."""
    one = holding(PROMPT)
    generator = np.random.default_rng(3)
    for seed in range(20):
        one.set(0, sampler(seed=seed, logprobs=3, **params))
        logits = logits_of(1, seed)
        allowed = generator.random(VOCAB) < share
        allowed[generator.integers(VOCAB)] = True
        (masked,) = one.sample(logits, [0], [0], [5], [mask_of(allowed)])
        (without,) = one.sample(np.where(allowed, logits, -np.inf).astype(np.float32), [0], [0], [5])
        (free,) = one.sample(logits, [0], [0], [5])
        assert not masked.error and masked.token == without.token and allowed[masked.token]
        exact = logits[0].astype(np.float64)
        assert masked.logprob == pytest.approx(exact[masked.token] - np.log(np.exp(exact).sum()), abs=1e-5)
        assert masked.top == free.top


def test_a_mask_of_everything_changes_nothing() -> None:
    one = holding(PROMPT)
    logits = logits_of(4)
    one.set(0, sampler(seed=4, temperature=1.0, top_k=20, repeat_penalty=1.2))
    lists = list(range(4)), [0] * 4, [2, 3, 4, 5]
    everything = mask_of(np.ones(VOCAB, bool))
    assert [d.token for d in one.sample(logits, *lists, [everything] * 4)] == [
        d.token for d in one.sample(logits, *lists)
    ]


def test_rows_with_and_without_a_mask_in_one_call() -> None:
    one = holding(PROMPT, PROMPT)
    logits = logits_of(2)
    for slot in range(2):
        one.set(slot, sampler(temperature=0.0))
    only = np.zeros(VOCAB, bool)
    only[7] = True
    first, second, third = one.sample(logits, [0, 1, 0], [0, 1, 0], [5, 5, 5], [None, mask_of(only), None])
    assert (first.token, second.token, third.token) == (int(logits[0].argmax()), 7, int(logits[0].argmax()))


@pytest.mark.parametrize(
    "params", [{"temperature": 0.0}, {"temperature": 1.0}, {"temperature": 1.0, "top_k": 3}], ids=str
)
def test_a_mask_of_nothing_fails_its_row_only(params: dict[str, float]) -> None:
    one = holding(PROMPT, PROMPT)
    for slot in range(2):
        one.set(slot, sampler(seed=1, **params))
    nothing = mask_of(np.zeros(VOCAB, bool))
    failed, drawn = one.sample(logits_of(2), [0, 1], [0, 1], [5, 5], [nothing, None])
    assert "grammar" in failed.error and not drawn.error


def test_a_mask_of_another_size_is_refused() -> None:
    one = holding(PROMPT)
    one.set(0, sampler(temperature=0.0))
    for masks in ([np.zeros(9, np.int32)], [np.zeros(11, np.int32)], [None, None]):
        with pytest.raises(ValueError, match="masks"):
            one.sample(logits_of(1), [0], [0], [5], masks)
    with pytest.raises(TypeError):
        one.sample(logits_of(1), [0], [0], [5], [np.zeros((1, 10), np.int32)])  # type: ignore[list-item]

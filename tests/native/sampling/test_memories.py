"""Draws that remember those before them: against numpy, repeated, taken back, several at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cluster.api.sampling import SamplingParams
from cluster.stage.models.sampler import native_params
from tests.native.sampling.libllama_chain import canonical, draw_seed
from worker_native import Sampler

VOCAB = 200
PROMPT = [5, 6, 7]
LENGTH = 120
CASES: list[dict[str, Any]] = [
    {"mirostat": 1, "mirostat_tau": 3.0},
    {"mirostat": 2, "mirostat_tau": 3.0},
    {"mirostat": 2, "mirostat_tau": 1.0, "mirostat_eta": 0.5},
    {"adaptive_target": 0.3},
    {"adaptive_target": 0.05, "adaptive_decay": 0.5},
]


def params_of(changes: dict[str, Any]) -> SamplingParams:
    plain = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 17}
    return SamplingParams(**{**plain, **changes})


def rows(count: int = LENGTH) -> NDArray[np.float32]:
    return (2.5 * np.random.default_rng(4).standard_normal((count, VOCAB))).astype(np.float32)


def holding(changes: dict[str, Any]) -> Sampler:
    made = Sampler(vocab_size=VOCAB, n_slots=1, n_ctx=256)
    keep(made, PROMPT, 0)
    made.set(0, native_params(params_of(changes)), len(PROMPT))
    return made


def keep(one: Sampler, tokens: list[int], start: int) -> None:
    positions = np.arange(start, start + len(tokens), dtype=np.int32)
    one.keep(np.array(tokens, np.int32), positions, np.zeros(len(tokens), np.int32))


def text_of(one: Sampler, logits: NDArray[np.float32]) -> list[int]:
    """One token after the other."""
    tokens: list[int] = []
    for row in range(len(logits)):
        position = len(PROMPT) - 1 + row
        (drawn,) = one.sample(logits, [row], [0], [position])
        assert not drawn.error
        tokens.append(drawn.token)
        keep(one, [drawn.token], position + 1)
    return tokens


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    weights = np.exp(logits - logits.max())
    found: NDArray[np.float32] = weights / weights.sum(dtype=np.float32)
    return found


def drawn_by(chances: NDArray[np.float32], position: int) -> int:
    """As std::discrete_distribution draws."""
    whole = np.cumsum(chances.astype(np.float64) / chances.astype(np.float64).sum())
    return int(np.searchsorted(whole, canonical(draw_seed(17, position))))


def mirostat_by_numpy(logits: NDArray[np.float32], params: SamplingParams) -> list[int]:
    """Of version 2: what surprises more than mu bits is cut off, and mu learns."""
    mu, tokens = np.float32(2 * params.mirostat_tau), []
    for row, values in enumerate(logits):
        order = np.argsort(-values, kind="stable")
        chances = softmax(values)[order]
        count = max(1, int((-np.log2(chances) <= mu).sum()))
        left = softmax(values[order[:count]])
        drawn = drawn_by(left, len(PROMPT) - 1 + row)
        tokens.append(int(order[drawn]))
        mu -= np.float32(params.mirostat_eta) * (-np.log2(left[drawn]) - np.float32(params.mirostat_tau))
    return tokens


def adaptive_by_numpy(logits: NDArray[np.float32], params: SamplingParams) -> list[int]:
    decay = np.float32(params.adaptive_decay)
    weight = 1 / (1 - decay)
    total, tokens = np.float32(params.adaptive_target) * weight, []
    for row, values in enumerate(logits):
        chances = softmax(values)
        aim = np.clip(2 * np.float32(params.adaptive_target) - total / weight, 0, 1)
        distance = np.abs((chances - aim) / np.float32(0.3))
        drawn = drawn_by(softmax(5 - 10 * distance**2 / (1 + distance)), len(PROMPT) - 1 + row)
        tokens.append(drawn)
        total, weight = chances[drawn] + decay * total, 1 + decay * weight
    return tokens


@pytest.mark.parametrize("changes", [case for case in CASES if case.get("mirostat") != 1], ids=str)
def test_what_is_remembered_is_what_numpy_works_out(changes: dict[str, Any]) -> None:
    params, logits = params_of(changes), rows()
    expected = (mirostat_by_numpy if params.mirostat else adaptive_by_numpy)(logits, params)
    assert text_of(holding(changes), logits) == expected


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_holds_the_surprise_at_its_target(version: int) -> None:
    for tau in (1.5, 3.0):
        logits = rows(200)
        tokens = text_of(holding({"mirostat": version, "mirostat_tau": tau}), logits)
        exact = logits.astype(np.float64)
        logprobs = exact - np.log(np.exp(exact).sum(1, keepdims=True))
        surprise = -logprobs[np.arange(200), tokens] / np.log(2)
        free = -(np.exp(logprobs) * logprobs).sum(1).mean() / np.log(2)
        assert abs(surprise.mean() - tau) < abs(free - tau) / 2


@pytest.mark.parametrize("changes", CASES, ids=str)
def test_a_draw_may_be_repeated_and_taken_back(changes: dict[str, Any]) -> None:
    logits = rows()
    once, other = holding(changes), holding(changes)
    expected = text_of(once, logits)
    for row in range(LENGTH):
        position = len(PROMPT) - 1 + row
        assert once.sample(logits, [row], [0], [position])[0].token == expected[row], "again, from the start"
    assert text_of(other, logits[:50]) == expected[:50]
    other.prepare_slot(0, 0, len(PROMPT) + 20)
    for row in range(20, LENGTH):
        position = len(PROMPT) - 1 + row
        assert other.sample(logits, [row], [0], [position])[0].token == expected[row]
        keep(other, [expected[row]], position + 1)


@pytest.mark.parametrize("changes", CASES, ids=str)
def test_several_rows_at_once_are_drawn_as_one_after_the_other(changes: dict[str, Any]) -> None:
    """As where guesses are checked; wrong ones leave nothing behind."""
    logits = rows()
    expected = text_of(holding(changes), logits)
    one = holding(changes)
    for first in range(0, LENGTH - 4, 2):
        right = expected[first]
        keep(one, [right, VOCAB - 1, VOCAB - 2], len(PROMPT) + first)
        places = list(range(first, first + 4))
        drawn = one.sample(logits, places, [0] * 4, [len(PROMPT) - 1 + place for place in places])
        assert [each.token for each in drawn[:2]] == expected[first : first + 2]
        keep(one, [expected[first + 1]], len(PROMPT) + first + 1)


def test_another_request_in_the_same_slot_remembers_nothing() -> None:
    logits = rows()
    one = holding({"mirostat": 2})
    expected = text_of(one, logits)
    one.prepare_slot(0, 0, len(PROMPT))
    one.set(0, native_params(params_of({"mirostat": 2})), len(PROMPT))
    assert text_of(one, logits) == expected


def test_scores_are_of_the_raw_logits_and_of_the_tokens_that_are_given() -> None:
    logits = rows(6)
    logits[3, 7] = np.nan
    one = holding({"mirostat": 2})
    exact = logits.astype(np.float64)
    logprobs = exact - np.log(np.exp(exact).sum(1, keepdims=True))
    told = one.score(logits, [5, 0, 3, 0], [1, 2, 3, 199], 4)
    assert told[2].error and not told[2].top
    for row, token, one_told in ((5, 1, told[0]), (0, 2, told[1]), (0, 199, told[3])):
        assert one_told.token == token and one_told.logprob == pytest.approx(logprobs[row, token], abs=1e-5)
        assert [best for best, _ in one_told.top] == np.argsort(-logits[row], kind="stable")[:4].tolist()
    assert one.score(logits, [], [], 0) == []
    wrong: list[tuple[list[int], list[int], int]] = [([6], [0], 0), ([0], [VOCAB], 0), ([0], [-1], 0), ([0], [], 0)]
    for rows_of, tokens, num_top in (*wrong, ([0], [0], VOCAB + 1)):
        with pytest.raises(ValueError, match=r"rows|tokens|num_top|equally"):
            one.score(logits, rows_of, tokens, num_top)

"""Drawing tokens: against argmax, against softmax, against numpy for the filters, and repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.native.conftest import ModelFiles, Row, SamplingSlice, arrays, prompt, run, sampler
from tests.native.tiny_model import TinyModel, write_model
from worker_native import SamplerParams

PROMPT = [5, 6, 7, 5, 5, 9]


@pytest.fixture
def prompted(whole: SamplingSlice) -> SamplingSlice:
    """Slot 0 holds PROMPT; its last row wants logits."""
    run([whole], [(t, p, s, p == len(PROMPT) - 1) for t, p, s, _ in prompt(PROMPT)])
    return whole


LAST = len(PROMPT) - 1


def last_logits(one: SamplingSlice) -> NDArray[np.float64]:
    return one.logits([LAST])[0].astype(np.float64)


def draw(one: SamplingSlice, params: SamplerParams) -> int:
    one.sampler.set(0, params)
    return one.sample([LAST])[0].token


def draws(one: SamplingSlice, count: int, **changes: float) -> NDArray[np.int64]:
    return np.array([draw(one, sampler(seed=seed, **changes)) for seed in range(count)])


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = np.exp(logits - logits.max())
    return weights / weights.sum()


def test_temperature_zero_is_argmax(prompted: SamplingSlice) -> None:
    assert draw(prompted, sampler(temperature=0)) == last_logits(prompted).argmax()


def test_top_k_one_is_argmax_at_any_temperature(prompted: SamplingSlice) -> None:
    assert set(draws(prompted, 20, top_k=1, temperature=5)) == {last_logits(prompted).argmax()}


def test_equal_logits_draw_the_first_at_temperature_zero(model_file: ModelFiles) -> None:
    last = SamplingSlice(str(model_file("f32", (2, 4))), n_ctx=8, n_slots=1)
    last.forward(*arrays([(0, 0, 0, True)]), np.zeros((1, 64), np.float32))
    assert len(set(last.logits([0])[0])) == 1  # a zero row stays zero through norms and matrices
    last.sampler.set(0, sampler(temperature=0))
    assert last.sample([0])[0].token == 0


def test_a_repeated_draw_is_equal_and_another_seed_or_position_is_not(prompted: SamplingSlice) -> None:
    prompted.sampler.set(0, sampler(seed=7, temperature=2))
    assert len({prompted.sample([LAST])[0].token for _ in range(5)}) == 1
    assert len(set(draws(prompted, 50, temperature=2))) > 10
    rows: list[Row] = prompt([9] * 20, slot=1)
    run([prompted], rows)
    prompted.sampler.set(1, sampler(temperature=100, seed=3))
    assert len({drawn.token for drawn in prompted.sample(list(range(20)))}) > 5


def test_a_slice_opened_again_draws_the_same(model_file: ModelFiles, prompted: SamplingSlice) -> None:
    again = SamplingSlice(str(model_file()), n_ctx=64, n_slots=3, n_batch=32, n_ubatch=32)
    run([again], prompt(PROMPT))
    assert list(draws(again, 30)) == list(draws(prompted, 30))


@pytest.mark.parametrize("temperature", [0.7, 1.0, 2.0])
def test_frequencies_match_softmax(prompted: SamplingSlice, temperature: float) -> None:
    count = 4000
    expected = softmax(last_logits(prompted) / temperature) * count
    seen = np.bincount(draws(prompted, count, temperature=temperature), minlength=272)
    common = expected > 5
    # the rest is one more class; chi-square over k classes has mean k - 1 and deviation sqrt(2 (k - 1))
    seen_classes = np.append(seen[common], seen[~common].sum())
    expected_classes = np.append(expected[common], expected[~common].sum())
    statistic = ((seen_classes - expected_classes) ** 2 / expected_classes).sum()
    degrees = common.sum()
    assert statistic < degrees + 5 * np.sqrt(2 * degrees)


def allowed_by(logits: NDArray[np.float64], top_k: int, top_p: float, min_p: float) -> set[int]:
    """Tokens that survive the three filters, one after the other."""
    kept = np.argsort(-logits, kind="stable")[: top_k or None]
    chances = softmax(logits[kept])
    kept = kept[: int(np.searchsorted(np.cumsum(chances), top_p)) + 1] if top_p < 1 else kept
    return set(kept[logits[kept] >= logits[kept].max() + np.log(min_p or 1e-300)].tolist())


@pytest.mark.parametrize(
    "filters",
    [{"top_k": 3}, {"top_p": 0.5}, {"min_p": 0.3}, {"top_k": 20, "top_p": 0.7}, {"top_k": 30, "min_p": 0.2}],
    ids=str,
)
def test_filters_keep_what_they_say(prompted: SamplingSlice, filters: dict[str, float]) -> None:
    limits = {"top_k": 0, "top_p": 1.0, "min_p": 0.0} | filters
    allowed = allowed_by(last_logits(prompted), **limits)  # type: ignore[arg-type]
    seen = set(draws(prompted, 1500, temperature=1.5, **filters).tolist())
    assert seen <= allowed
    assert len(seen) > len(allowed) * 0.5


def penalised(logits: NDArray[np.float64], recent: list[int], repeat: float, presence: float, frequency: float) -> int:
    """Token with the largest logit after llama.cpp's three penalties."""
    changed = logits.copy()
    for token in set(recent):
        changed[token] = changed[token] * repeat if changed[token] <= 0 else changed[token] / repeat
        changed[token] -= recent.count(token) * frequency + presence
    return int(changed.argmax())


@pytest.mark.parametrize("last_n", [-1, 0, 1, 3, 64])
@pytest.mark.parametrize(
    ("repeat", "presence", "frequency"),
    [(100.0, 0.0, 0.0), (1.0, 50.0, 0.0), (1.0, 0.0, 20.0), (0.02, -3.0, 2.0)],
)
def test_penalties(prompted: SamplingSlice, last_n: int, repeat: float, presence: float, frequency: float) -> None:
    favourite = int(last_logits(prompted).argmax())
    rows = prompt([favourite, 3, favourite, 4], start=len(PROMPT))
    run([prompted], rows)
    tokens = [*PROMPT, favourite, 3, favourite, 4]
    params = {"repeat_penalty": repeat, "presence_penalty": presence, "frequency_penalty": frequency}
    prompted.sampler.set(0, sampler(temperature=0, repeat_last_n=last_n, **params))
    for row in range(4):
        known = tokens[: len(PROMPT) + row + 1]
        recent = known if last_n < 0 else known[len(known) - min(last_n, len(known)) :]
        logits = prompted.logits([row])[0].astype(np.float64)
        assert prompted.sample([row])[0].token == penalised(logits, recent, repeat, presence, frequency)


def test_a_cut_and_a_copy_change_what_is_penalised(prompted: SamplingSlice) -> None:
    greedy = sampler(temperature=0, repeat_penalty=100.0)
    free = draw(prompted, sampler(temperature=0))
    run([prompted], prompt([free], start=len(PROMPT)))
    prompted.prepare_slot(0, 0, len(PROMPT))
    prompted.prepare_slot(2, 0, len(PROMPT))
    prompted.sampler.set(2, greedy)
    prompted.sampler.set(0, greedy)
    for slot in (0, 2):
        logits = run([prompted], prompt([8], slot=slot, start=len(PROMPT)))[0].astype(np.float64)
        assert prompted.sample([0])[0].token == penalised(logits, [*PROMPT, 8], 100.0, 0, 0)


def test_logprobs_are_of_the_raw_logits(prompted: SamplingSlice) -> None:
    logits = last_logits(prompted)
    exact = np.log(softmax(logits))
    params = sampler(temperature=0.5, top_k=5, repeat_penalty=2.0, logprobs=8)
    prompted.sampler.set(0, params)
    (drawn,) = prompted.sample([LAST])
    assert drawn.logprob == pytest.approx(exact[drawn.token], abs=1e-5)
    assert [token for token, _ in drawn.top] == np.argsort(-logits, kind="stable")[:8].tolist()
    np.testing.assert_allclose([p for _, p in drawn.top], exact[[t for t, _ in drawn.top]], atol=1e-5)


def test_rows_may_be_asked_for_in_any_order_and_twice(prompted: SamplingSlice) -> None:
    run([prompted], prompt([1, 2, 3], slot=1))
    prompted.sampler.set(1, sampler(seed=5))
    forward = [drawn.token for drawn in prompted.sample([0, 1, 2])]
    assert [drawn.token for drawn in prompted.sample([2, 0, 2])] == [forward[2], forward[0], forward[2]]
    assert prompted.sample([]) == []
    assert prompted.logits([]).shape == (0, 272)


def test_a_freed_slot_forgets_the_sampler(prompted: SamplingSlice) -> None:
    prompted.sampler.set(0, sampler())
    prompted.prepare_slot(0, 0, 0)
    run([prompted], prompt([1]))
    with pytest.raises(ValueError, match="call set first"):
        prompted.sample([0])


@pytest.mark.parametrize("vocab_size", [1000, 32000])
@pytest.mark.parametrize("scale", [0.01, 4.0, 60.0])
def test_logprobs_and_candidates_of_a_large_vocabulary(tmp_path: Path, vocab_size: int, scale: float) -> None:
    """Against double precision; sizes that are no multiple of a block, and logits near and far from each other."""
    model = TinyModel(num_layers=1, vocab_size=vocab_size - 3)
    head = scale * model.tensors()["output.weight"]
    path = write_model(tmp_path / "large.gguf", model, changes={"output.weight": head})
    one = SamplingSlice(str(path), n_ctx=8, n_slots=1)
    run([one], prompt([5]))
    logits = one.logits([0])[0].astype(np.float64)
    exact = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
    order = np.argsort(-logits, kind="stable")
    for count in (1, 40, 900):
        one.sampler.set(0, sampler(temperature=0, logprobs=count))
        (drawn,) = one.sample([0])
        assert drawn.token == order[0]
        assert [token for token, _ in drawn.top] == order[:count].tolist()
        # a logit itself is a float; its own rounding is not the sampler's
        np.testing.assert_allclose([p for _, p in drawn.top], exact[order[:count]], atol=1e-6)
    one.sampler.set(0, sampler(temperature=100, top_k=7, seed=1))
    assert one.sample([0])[0].token in order[:7]

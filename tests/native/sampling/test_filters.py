"""Every filter, alone and with others, against libllama's own chain on the same random logits."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cluster.api.sampling import SamplingParams
from cluster.stage.models.sampler import native_params
from ggml.sampling.params import SAMPLER_NAMES, SAMPLERS
from tests.native.sampling.libllama_chain import Chain, Vocabulary
from tests.native.vocabularies import write_byte_pairs
from worker_native import Sampler, SamplerParams, Vocab

PLAIN: dict[str, Any] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
NUM_ROWS = 40


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_byte_pairs(tmp_path_factory.mktemp("vocabulary") / "pairs.gguf", "gpt-2"))


@pytest.fixture(scope="module")
def theirs(path: str) -> Iterator[Vocabulary]:
    found = Vocabulary(path)
    yield found
    found.close()


@pytest.fixture(scope="module")
def pieces(path: str) -> list[bytes]:
    vocab = Vocab(path)
    return [vocab.token_bytes(token) for token in range(vocab.num_tokens)]


def rows(num_tokens: int, seed: int, scale: float = 4.0) -> NDArray[np.float32]:
    return (scale * np.random.default_rng(seed).standard_normal((NUM_ROWS, num_tokens))).astype(np.float32)


def history_of(num_tokens: int, seed: int, length: int) -> list[int]:
    """Few different tokens, so that much of it repeats."""
    return random.Random(seed).choices([97, 98, 99, 10, 58, num_tokens - 5], k=length)


def ours(num_tokens: int, pieces: list[bytes], history: list[int], params: SamplingParams, **more: Any) -> Sampler:
    made = Sampler(vocab_size=num_tokens, n_slots=1, n_ctx=256)
    made.name_tokens(pieces)
    positions = np.arange(len(history), dtype=np.int32)
    made.keep(np.array(history, np.int32), positions, np.zeros(len(history), np.int32))
    made.set(0, native_params(params), **more)
    return made


CASES: list[dict[str, Any]] = [
    {},
    {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05},
    {"top_n_sigma": 1.0},
    {"top_n_sigma": 0.7, "top_k": 50, "temperature": 1.7},
    {"typical_p": 0.5},
    {"typical_p": 0.3, "top_k": 30, "top_p": 0.9},
    {"xtc_probability": 0.5, "xtc_threshold": 0.05},
    {"xtc_probability": 1.0, "xtc_threshold": 0.01, "top_k": 20, "temperature": 1.5},
    {"xtc_probability": 1.0, "xtc_threshold": 0.6},
    {"dynatemp_range": 0.5},
    {"dynatemp_range": 3.0, "dynatemp_exponent": 2.0, "temperature": 1.5, "top_k": 40},
    {"dynatemp_range": 1.0, "dynatemp_exponent": 0.5, "min_p": 0.05},
    {"dry_multiplier": 2.0},
    {"dry_multiplier": 5.0, "dry_base": 1.2, "dry_allowed_length": 1, "dry_penalty_last_n": 24},
    {"dry_multiplier": 5.0, "dry_sequence_breakers": ()},
    {"dry_multiplier": 5.0, "dry_sequence_breakers": ("a",), "dry_allowed_length": 0},
    {"dry_multiplier": 1.0, "dry_base": 0.5},
    {"repeat_penalty": 1.5, "dry_multiplier": 0.8, "top_k": 40},
    {"repeat_penalty": 1.2, "presence_penalty": 1.0, "frequency_penalty": -0.5, "repeat_last_n": 16},
    {"logit_bias": ((97, 5.0), (3, -2.0), (97, 1.0))},
    {"logit_bias": tuple((token, -math.inf) for token in range(0, 240, 2)), "top_k": 10},
    {"logit_bias": ((97, -math.inf), (98, 3.0)), "top_p": 0.9, "repeat_penalty": 1.1},
    {"mirostat": 1},
    {"mirostat": 1, "mirostat_tau": 1.0, "temperature": 0.7},
    {"mirostat": 2},
    {"mirostat": 2, "mirostat_tau": 0.5, "temperature": 1.3},
    {"adaptive_target": 0.5},
    {"adaptive_target": 0.05, "adaptive_decay": 0.5, "min_p": 0.05, "temperature": 0.8},
    {"adaptive_target": 0.0, "adaptive_decay": 1.0, "top_k": 12},
]


def their_order(params: SamplingParams) -> list[str]:
    order = list(params.samplers or SAMPLERS)
    has_adaptive = "adaptive_p" in order and params.adaptive_target >= 0
    order = [name for name in order if name != "adaptive_p"]
    bias = ["logit_bias"] if params.logit_bias else []
    if params.mirostat:
        return [*bias, "temperature", "mirostat"]
    return [*bias, *order, "adaptive_p" if has_adaptive else "dist"]


def compare(changes: dict[str, Any], pieces: list[bytes], theirs: Vocabulary) -> None:
    num_tokens = len(pieces)
    for seed in range(NUM_ROWS):
        params = SamplingParams(**{**PLAIN, **changes, "seed": 1000 + seed})
        history = history_of(num_tokens, seed, 30 + seed)
        logits = rows(num_tokens, seed)[seed]
        one = ours(num_tokens, pieces, history, params)
        (drawn,) = one.sample(logits[None], [0], [0], [len(history) - 1])
        assert not drawn.error
        whole = {name: getattr(params, name) for name in SAMPLER_NAMES}
        whole |= {name: 256 for name in ("repeat_last_n", "dry_penalty_last_n") if whole[name] < 0}
        chain = Chain(whole, their_order(params), len(history) - 1, history, num_tokens, theirs.vocab)
        assert drawn.token == chain.draw(logits), (seed, params)


@pytest.mark.parametrize("changes", CASES, ids=str)
def test_a_draw_is_the_one_of_libllamas_chain(changes: dict[str, Any], pieces: list[bytes], theirs: Vocabulary) -> None:
    compare(changes, pieces, theirs)


@pytest.mark.parametrize(
    "samplers",
    [
        ("temperature", "top_k"),
        ("top_k", "penalties", "temperature"),
        ("top_k", "dry", "penalties"),
        ("min_p", "top_p", "top_k", "temperature"),
        ("temperature",),
        ("xtc", "typ_p", "top_n_sigma", "dry"),  # behind top_n_sigma libllama's typ_p divides by nothing
        ("temperature", "top_n_sigma", "min_p", "penalties", "adaptive_p"),
        tuple(reversed(SAMPLERS)),
    ],
    ids=";".join,
)
def test_samplers_work_in_the_order_that_is_asked_for(
    samplers: tuple[str, ...], pieces: list[bytes], theirs: Vocabulary
) -> None:
    changes = {
        "temperature": 1.8,
        "top_k": 12,
        "top_p": 0.8,
        "min_p": 0.02,
        "typical_p": 0.9,
        "top_n_sigma": 2.0,
        "xtc_probability": 0.7,
        "xtc_threshold": 0.05,
        "repeat_penalty": 1.4,
        "dry_multiplier": 3.0,
        "adaptive_target": 0.2,
        "samplers": samplers,
    }
    compare(changes, pieces, theirs)


def test_the_default_order_is_named_once() -> None:
    assert SamplerParams.default_order == SAMPLERS


def test_a_banned_token_is_not_drawn_however_likely_it_is(pieces: list[bytes]) -> None:
    logits = rows(len(pieces), 5)
    best = np.argsort(-logits, axis=1)
    for row in range(NUM_ROWS):
        banned = tuple((int(token), -math.inf) for token in best[row, :3])
        for changes in ({"temperature": 0.0}, {"top_k": 1}, {"top_k": 3, "top_p": 0.01}, {"min_p": 1.0}):
            params = SamplingParams(**{**PLAIN, **changes, "logit_bias": banned, "seed": 1})
            (drawn,) = ours(len(pieces), pieces, [1], params).sample(logits, [row], [0], [0])
            assert drawn.token == best[row, 3], changes


def test_stop_tokens_are_not_drawn_before_there_are_so_many_tokens(pieces: list[bytes]) -> None:
    logits = rows(len(pieces), 5)[:1]
    best, second = np.argsort(-logits[0])[:2].tolist()
    params = SamplingParams(temperature=0.0, seed=1, min_tokens=2, stop_token_ids=(best, 3))
    one = ours(len(pieces), pieces, [1, 2, 3, 4, 5], params, num_prompt_tokens=3)
    tokens = [one.sample(logits, [0], [0], [position])[0].token for position in range(5)]
    assert tokens == [second, second, second, second, best], "the first three were the prompt's, two are drawn"


def test_where_all_are_banned_that_row_has_no_token(pieces: list[bytes]) -> None:
    logits = rows(len(pieces), 5)[:2]
    everything = tuple((token, -math.inf) for token in range(len(pieces)))
    for changes in ({"temperature": 0.0}, {"top_k": 5}, {}, {"mirostat": 2}):
        params = SamplingParams(**{**PLAIN, **changes, "seed": 1, "logit_bias": everything})
        drawn = ours(len(pieces), pieces, [1, 2], params).sample(logits, [0, 1], [0, 0], [0, 1])
        assert all("ban fewer" in each.error for each in drawn)


@pytest.mark.parametrize("changes", CASES, ids=str)
def test_logits_far_apart_or_impossible_are_drawn_from_or_told(changes: dict[str, Any], pieces: list[bytes]) -> None:
    """Differences at which probabilities vanish as floats, -inf in the row itself, and almost no entropy."""
    num_tokens = len(pieces)
    spread = rows(num_tokens, 3, 200.0)[:4]
    spread[1, ::2] = -np.inf
    spread[2] = -np.inf
    spread[2, 99] = 1.0
    spread[3] = 0.0
    spread[3, 7] = 3e38
    history = history_of(num_tokens, 1, 60)
    for seed in range(10):
        one = ours(num_tokens, pieces, history, SamplingParams(**{**PLAIN, **changes, "seed": seed}))
        for row in range(4):
            (drawn,) = one.sample(spread, [row], [0], [59])
            assert drawn.error or spread[row, drawn.token] > -np.inf


def test_texts_over_which_no_repetition_goes_may_lie_in_several_tokens(pieces: list[bytes]) -> None:
    """ "ab" in two tokens ends a repetition as it does in one."""
    logits = np.zeros((1, len(pieces)), np.float32)
    logits[0, [99, 100]] = 2.0, 1.9
    history = [120, 121, 97, 98, 99, 5, 120, 121, 97, 98]  # x y a b c . x y a b
    for texts, drawn in (((), 100), (("ab",), 99), (("yab",), 99), (("ba",), 100), (("abc",), 100)):
        params = SamplingParams(temperature=0.0, seed=1, dry_multiplier=1.0, dry_sequence_breakers=texts)
        one = ours(len(pieces), pieces, history, params)
        assert one.sample(logits, [0], [0], [len(history) - 1])[0].token == drawn, texts


def test_repetitions_need_the_texts_of_tokens_only_where_some_are_given() -> None:
    one = Sampler(vocab_size=50, n_slots=1, n_ctx=16)
    with pytest.raises(ValueError, match="dry_sequence_breakers: this model's tokens have no text here"):
        one.set(0, native_params(SamplingParams(seed=1, dry_multiplier=1.0)))
    one.set(0, native_params(SamplingParams(seed=1, dry_multiplier=1.0, dry_sequence_breakers=())))
    with pytest.raises(ValueError, match="pieces: 3 for a vocabulary of 50"):
        one.name_tokens([b"a"] * 3)

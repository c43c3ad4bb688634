"""What a sampler refuses: nothing that a caller may give it reaches memory that is not its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.native.conftest import sampler
from worker_native import Sampler, SamplerParams

VOCAB = 100
LOGITS = np.zeros((2, VOCAB), np.float32)


@pytest.fixture
def alone() -> Sampler:
    """Slot 1 holds three tokens and has parameters."""
    made = Sampler(vocab_size=VOCAB, n_slots=3, n_ctx=8)
    made.set(1, sampler())
    made.keep(*ints([4, 5, 6], [0, 1, 2], [1, 1, 1]))
    return made


def ints(*columns: list[int]) -> list[np.ndarray[Any, np.dtype[np.int32]]]:
    return [np.array(column, np.int32) for column in columns]


@pytest.mark.parametrize("name", ["vocab_size", "n_slots", "n_ctx"])
@pytest.mark.parametrize("value", [0, -1, 2**31, 2**40])
def test_sizes_out_of_range_are_a_value_error(name: str, value: int) -> None:
    with pytest.raises(ValueError, match="slots" if name == "n_slots" else name):
        Sampler(**{"vocab_size": VOCAB, "n_slots": 3, "n_ctx": 8, name: value})


@pytest.mark.parametrize("slot", [-1, 3, 2**40])
def test_a_slot_out_of_range_is_a_value_error(alone: Sampler, slot: int) -> None:
    calls: list[Callable[[], object]] = [
        lambda: alone.set(slot, sampler()),
        lambda: alone.prepare_slot(slot, slot, 0),
        lambda: alone.prepare_slot(0, slot, 0),
        lambda: alone.sample(LOGITS, [0], [slot], [0]),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"slot|source"):
            call()


@pytest.mark.parametrize("slot", [None, "0", 0.5, [0]])
def test_a_slot_of_another_type_is_a_type_error(alone: Sampler, slot: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: alone.set(slot, sampler()),
        lambda: alone.set(0, slot),
        lambda: alone.prepare_slot(1, 1, slot),
        lambda: alone.prepare_slot(0, slot, 0),
        lambda: alone.sample(LOGITS, [slot], [1], [0]),
        lambda: alone.sample(LOGITS, [0], [slot], [0]),
        lambda: alone.sample(LOGITS, [0], [1], [slot]),
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize("length", [-1, 4, 2**40])
def test_a_slot_holds_no_more_than_its_source_does(alone: Sampler, length: int) -> None:
    for slot in (0, 1):
        with pytest.raises(ValueError, match="length"):
            alone.prepare_slot(slot, 1, length)


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (([1], [4], [1]), "positions"),  # behind the end of what the slot holds
        (([1], [-1], [1]), "positions"),
        (([1, 1], [3, 5], [1, 1]), "positions"),
        (([1] * 9, list(range(9)), [0] * 9), "positions"),  # more than n_ctx
        (([1], [0], [3]), "slots"),
        (([1], [0], [-1]), "slots"),
        (([-2], [0], [0]), "tokens"),
        (([VOCAB], [0], [0]), "tokens"),
        (([1, 2], [0], [0]), "equally long"),
    ],
)
def test_rows_that_are_refused_change_nothing(alone: Sampler, rows: tuple[list[int], ...], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        alone.keep(*ints(*rows))
    assert not alone.sample(LOGITS, [0], [1], [2])[0].error
    for slot in (0, 1):
        with pytest.raises(ValueError, match=r"positions|parameters"):
            alone.sample(LOGITS, [0], [slot], [3])


@pytest.mark.parametrize("position", [-1, 3, 2**40])
def test_a_position_that_its_slot_does_not_hold_cannot_be_sampled(alone: Sampler, position: int) -> None:
    with pytest.raises(ValueError, match="positions"):
        alone.sample(LOGITS, [0], [1], [position])


def test_a_row_that_was_truncated_cannot_be_sampled(alone: Sampler) -> None:
    alone.prepare_slot(1, 1, 2)
    with pytest.raises(ValueError, match="positions"):
        alone.sample(LOGITS, [0], [1], [2])
    alone.sample(LOGITS, [0], [1], [1])


def test_a_slot_without_parameters_cannot_be_sampled(alone: Sampler) -> None:
    alone.keep(*ints([1], [0], [2]))
    with pytest.raises(ValueError, match="call set first"):
        alone.sample(LOGITS, [0], [2], [0])


@pytest.mark.parametrize("row", [-1, 2, 2**40])
def test_a_row_that_is_not_there_is_a_value_error(alone: Sampler, row: int) -> None:
    with pytest.raises(ValueError, match="rows"):
        alone.sample(LOGITS, [row], [1], [0])


def test_lists_of_different_lengths_are_a_value_error(alone: Sampler) -> None:
    for lists in (([0, 1], [1], [0]), ([0], [1, 1], [0]), ([0], [1], [0, 1])):
        with pytest.raises(ValueError, match="equally long"):
            alone.sample(LOGITS, *lists)


@pytest.mark.parametrize(
    "logits",
    [
        None,
        LOGITS[0],
        LOGITS.astype(np.float64),
        LOGITS[:, ::2],
        np.zeros((VOCAB, 2), np.float32).T,
        "logits",
    ],
    ids=lambda h: str(getattr(h, "shape", h)),
)
def test_logits_of_another_kind_are_a_type_error(alone: Sampler, logits: Any) -> None:
    with pytest.raises(TypeError):
        alone.sample(logits, [0], [1], [0])


def test_logits_of_another_vocabulary_are_a_value_error(alone: Sampler) -> None:
    with pytest.raises(ValueError, match="101 for a vocabulary of 100"):
        alone.sample(np.zeros((1, 101), np.float32), [0], [1], [0])


def test_more_logprobs_than_tokens_are_a_value_error(alone: Sampler) -> None:
    with pytest.raises(ValueError, match="logprobs"):
        alone.set(0, sampler(logprobs=VOCAB + 1))
    alone.set(1, sampler(logprobs=VOCAB))
    assert len(alone.sample(LOGITS, [0], [1], [0])[0].top) == VOCAB


REALS = [math.nan, math.inf, -math.inf, -1000.0, 1e30]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(n, v) for n in ("temperature", "top_p", "min_p", "repeat_penalty") for v in [*REALS, -0.1]],
        *[(n, v) for n in ("presence_penalty", "frequency_penalty") for v in REALS],
        ("repeat_penalty", 0.0),
        ("top_p", 1.1),
        ("min_p", 1.1),
        ("top_k", -1),
        ("top_k", 2**31),
        ("repeat_last_n", -2),
        ("repeat_last_n", 2**31),
        ("logprobs", -1),
        ("logprobs", 2**31),
    ],
)
def test_sampler_params_out_of_range_are_a_value_error(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        sampler(**{name: value})


@pytest.mark.parametrize(
    "name",
    [
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "seed",
        "repeat_penalty",
        "repeat_last_n",
        "presence_penalty",
        "frequency_penalty",
        "logprobs",
    ],
)
@pytest.mark.parametrize("value", [None, "1", [], 2**70])
def test_sampler_params_of_another_type_are_a_type_error(name: str, value: Any) -> None:
    is_too_large = value == 2**70 and name not in ("top_k", "seed", "repeat_last_n", "logprobs")
    with pytest.raises(ValueError if is_too_large else TypeError):
        sampler(**{name: value})


def test_sampler_params_have_no_defaults() -> None:
    with pytest.raises(TypeError, match="temperature is missing"):
        SamplerParams()
    with pytest.raises(TypeError):
        sampler(seed=-1)


def test_no_other_parameter_is_taken() -> None:
    with pytest.raises(TypeError, match=r"SamplerParams\.names"):
        sampler(heat=1)

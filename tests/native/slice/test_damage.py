"""One sequence whose numbers are not finite: its neighbours, and whoever has its slot next, do not notice."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from tests.native.conftest import SamplingSlice, prompt, run, sampler
from tests.native.tiny_model import TinyModel, write_model

BAD = 13  # the token whose embedding is not a number
SOUND = [1, 2, 3, 4]
FlashAttn = Literal["on", "off"]
OpenDamaged = Callable[..., list[SamplingSlice]]


@pytest.fixture
def opened(tmp_path: Path) -> OpenDamaged:
    """A function: the slices of a model with one damaged embedding, cut at these layers."""
    model = TinyModel()
    embedding = model.tensors()["token_embd.weight"].copy()
    embedding[BAD] = np.nan

    def open_slices(flash_attn: FlashAttn, n_slots: int, *bounds: int) -> list[SamplingSlice]:
        ends = [0, *bounds, model.num_layers]
        slices = []
        for first, end in pairwise(ends):
            changes = {"token_embd.weight": embedding} if first == 0 else None
            path = write_model(
                tmp_path / f"{first}-{end}.gguf", model, (first, end) if bounds else None, changes=changes
            )
            slices.append(
                SamplingSlice(str(path), n_ctx=64, n_slots=n_slots, n_batch=32, n_ubatch=32, flash_attn=flash_attn)
            )
        return slices

    return open_slices


@pytest.mark.parametrize("flash_attn", ["on", "off"])
@pytest.mark.parametrize("bounds", [(), (2,)], ids=["whole", "cut"])
def test_a_row_without_numbers_is_told_and_its_neighbours_are_drawn_as_alone(
    opened: OpenDamaged, flash_attn: FlashAttn, bounds: tuple[int, ...]
) -> None:
    slices = opened(flash_attn, 3, *bounds)
    run(slices, prompt(SOUND, slot=1))
    last = slices[-1]
    for slot in range(3):
        last.sampler.set(slot, sampler(seed=9, logprobs=4))
    (alone,) = last.sample([3])
    for one in slices:
        one.prepare_slot(1, 1, 0)
    last.sampler.set(1, sampler(seed=9, logprobs=4))
    run(slices, prompt([5, BAD, 6]) + prompt(SOUND, slot=1) + prompt([BAD], slot=2))
    bad, sound, also_bad = last.sample([2, 6, 7])
    assert "not finite" in bad.error
    assert "not finite" in also_bad.error
    assert not sound.error
    assert (sound.token, sound.logprob, sound.top) == (alone.token, alone.logprob, alone.top)


@pytest.mark.parametrize("flash_attn", ["on", "off"])
@pytest.mark.parametrize("bounds", [(), (2,)], ids=["whole", "cut"])
@pytest.mark.parametrize("n_slots", [1, 3])
@pytest.mark.parametrize("asks", ["sample", "logits"])
def test_the_next_sequence_of_a_slot_does_not_see_what_was_left_there(
    opened: OpenDamaged, flash_attn: FlashAttn, bounds: tuple[int, ...], n_slots: int, asks: str
) -> None:
    """Attention that is no flash attention multiplies also the cells that it masks, by 0: a NaN would stay one."""
    slices = opened(flash_attn, n_slots, *bounds)
    expected = run(slices, prompt(SOUND))
    for one in slices:
        one.prepare_slot(0, 0, 0)
    others = [row for slot in range(1, n_slots) for row in prompt([7, 8, 9], slot=slot)]
    run(slices, others + prompt([5] * 9 + [BAD]))
    if asks == "sample":
        slices[-1].sampler.set(0, sampler())
        assert slices[-1].sample([len(others) + 9])[0].error
    else:
        assert np.isnan(slices[-1].logits([len(others) + 9])).all()
    for one in slices:
        one.prepare_slot(0, 0, 0)
    assert np.array_equal(run(slices, prompt(SOUND)), expected)
    if others:  # a copy into the slot wrote nothing into its source
        again = run(slices, prompt([6], slot=1, start=3))
        for one in slices:
            one.prepare_slot(2, 2, 0)
        run(slices, prompt([7, 8, 9], slot=2))
        assert np.array_equal(run(slices, prompt([6], slot=2, start=3)), again)


def test_a_slot_that_was_copied_from_a_damaged_one_is_mended_too(opened: OpenDamaged) -> None:
    (one,) = opened("off", 3)
    expected = run([one], prompt(SOUND, slot=1))
    one.prepare_slot(1, 1, 0)
    run([one], prompt([5] * 9 + [BAD]))
    one.prepare_slot(1, 0, 9)
    one.prepare_slot(1, 1, 0)
    assert np.array_equal(run([one], prompt(SOUND, slot=1)), expected)

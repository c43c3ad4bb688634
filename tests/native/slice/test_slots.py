"""prepare_slot: a slot holds exactly the tokens it should, whatever was done to it and its source around it."""

from __future__ import annotations

import random

import pytest

from tests.native.conftest import ModelFiles, SamplingSlice, prompt, run, sampler
from worker_native import Slice

NUM_SLOTS = 4
SIZES = {"n_ctx": 64, "n_slots": NUM_SLOTS, "n_batch": 64, "n_ubatch": 64}


@pytest.fixture(params=["auto", "off"])
def slices(request: pytest.FixtureRequest, model_file: ModelFiles) -> list[Slice]:
    """Without flash attention libllama keeps the values transposed."""
    return [Slice(str(model_file("q8_0", part)), **SIZES, flash_attn=request.param) for part in ((0, 2), (2, 4))]


def step(slices: list[Slice], slot: int, token: int = 9) -> bytes:
    return run(slices, [(token, slices[0].slot_length(slot), slot, True)]).tobytes()


def continued(slices: list[Slice], tokens: list[int]) -> bytes:
    """The logits of a step after these tokens, each by itself, in a slot with nothing before."""
    for part in slices:
        part.prepare_slot(0, 0, 0)
    for token in tokens:
        step(slices, 0, token)
    return step(slices, 0)


def test_any_order_of_cuts_copies_and_steps_equals_recomputing(slices: list[Slice], model_file: ModelFiles) -> None:
    draw = random.Random(5)
    held: list[list[int]] = [[] for _ in range(NUM_SLOTS)]
    checks: list[tuple[list[int], bytes]] = []
    for _ in range(150):
        slot, source = draw.randrange(NUM_SLOTS), draw.randrange(NUM_SLOTS)
        if draw.random() < 0.6:
            length = draw.randint(0, len(held[source]))
            for part in slices:
                part.prepare_slot(slot, source, length)
            held[slot] = held[source][:length]
        elif len(held[slot]) < 60:
            checks.append((list(held[slot]), step(slices, slot)))
            held[slot].append(9)
            token = draw.randrange(1, 250)
            step(slices, slot, token)
            held[slot].append(token)
        assert [part.slot_length(slot) for part in slices] == [len(held[slot])] * 2
    assert max(len(tokens) for tokens, _ in checks) > 5
    for tokens, logits in checks:
        assert continued(slices, tokens) == logits, tokens


def test_the_source_may_be_freed_before_the_next_forward(slices: list[Slice]) -> None:
    expected = continued(slices, [5, 6, 7])
    for part in slices:
        part.prepare_slot(0, 0, 3)
        part.prepare_slot(2, 0, 3)
        part.prepare_slot(0, 0, 0)
        part.prepare_slot(3, 2, 3)
        part.prepare_slot(2, 2, 1)
    assert [part.slot_length(slot) for part in slices for slot in range(NUM_SLOTS)] == [0, 0, 1, 3] * 2
    assert step(slices, 3) == expected


def test_a_slot_in_use_is_freed_first(slices: list[Slice]) -> None:
    expected = continued(slices, [5, 6])
    run(slices, prompt([1, 2, 3, 4, 5], slot=1))
    for part in slices:
        part.prepare_slot(1, 0, 2)
    assert step(slices, 1) == expected
    for part in slices:
        part.prepare_slot(1, 0, 0)
        assert part.slot_length(1) == 0


def test_the_sampler_stays_with_a_cut_and_goes_with_a_copy(model_file: ModelFiles) -> None:
    one = SamplingSlice(str(model_file()), **SIZES)
    run([one], prompt([1, 2, 3], slot=0))
    for slot in (0, 1):
        one.sampler.set(slot, sampler())
    one.prepare_slot(0, 0, 2)
    run([one], prompt([3], slot=0, start=2))
    assert not one.sample([0])[0].error
    one.prepare_slot(1, 0, 2)
    run([one], prompt([3], slot=1, start=2))
    with pytest.raises(ValueError, match="call set first"):
        one.sample([0])

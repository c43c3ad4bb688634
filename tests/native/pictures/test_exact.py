"""Rows of pictures enter the first slice; behind the last one are, bit for bit, mtmd's logits on the whole model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import worker_native
from cluster.pictures.encoder import PictureEncoder
from tests.native.pictures.chain import CUT_NAMES, CUTS, answered, forward, sliced
from tests.native.pictures.conftest import PICTURES, TEXTS, Seeing, prompt_of

pytestmark = pytest.mark.native


@pytest.fixture(params=CUTS, ids=CUT_NAMES)
def stages(request: pytest.FixtureRequest, seeing: Seeing, tmp_path: Path) -> Iterator[list[worker_native.Slice]]:
    with sliced(seeing.model, request.param, tmp_path / "store") as found:
        yield found


@pytest.mark.parametrize("slot", [0, 1])
def test_logits_are_those_of_mtmd_on_the_whole_model(
    stages: list[worker_native.Slice], slot: int, seeing: Seeing, encoder: PictureEncoder
) -> None:
    prompt = prompt_of(seeing.model, encoder, TEXTS, PICTURES)
    assert np.array_equal(answered(stages, prompt, seeing.whole.tokens, slot), seeing.whole.logits)


def test_rows_of_another_width_are_refused_and_change_nothing(stages: list[worker_native.Slice]) -> None:
    width = stages[0].hidden_width
    before = forward(stages, [5, 6], 0, 0)
    with pytest.raises(ValueError, match=rf"hidden: \(2, {width + 1}\) for 2 rows"):
        forward(stages, [0, 0], 2, 0, np.zeros((2, width + 1), np.float32))
    assert [stage.slot_length(0) for stage in stages] == [2] * len(stages)
    assert np.array_equal(forward(stages, [5, 6], 0, 1), before)


def test_rows_that_see_each_other_are_of_one_slot_and_fit_into_one_call(seeing: Seeing) -> None:
    ids, slots = np.full(9, 5, np.int32), np.zeros(9, np.int32)
    places, wants = np.arange(9, dtype=np.int32), np.zeros(9, bool)
    with closing(worker_native.Slice(str(seeing.model), n_ctx=64, n_slots=2, n_batch=64, n_ubatch=8)) as whole:
        with pytest.raises(ValueError, match=r"non_causal: 9 rows; one call computes at most 8"):
            whole.forward(ids, places, slots, wants, non_causal=True)
        two = np.array([0, 0, 1, 1], np.int32)
        with pytest.raises(ValueError, match=r"non_causal: rows of several slots"):
            whole.check_microbatch(ids[:4], np.array([0, 1, 0, 1], np.int32), two, wants[:4], non_causal=True)
        whole.forward(ids[:8], places[:8], slots[:8], wants[:8], non_causal=True)


def test_only_the_microbatch_that_says_so_is_read_without_an_order(stages: list[worker_native.Slice]) -> None:
    prompt = [5, 6, 7, 8]
    plain = forward(stages, prompt, 0, 0)
    mixed = forward(stages, prompt, 0, 1, non_causal=True)
    assert not np.array_equal(plain, mixed)
    for stage in stages:
        stage.prepare_slot(1, 1, 0)
    assert np.array_equal(forward(stages, prompt, 0, 1), plain)

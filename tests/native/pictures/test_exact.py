"""Rows of pictures enter the first slice; behind the last one are, bit for bit, mtmd's logits on the whole model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import worker_native
from cluster.pictures.encoder import PictureEncoder, joined
from cluster.store.slices import SliceStore
from tests.fakes.opened import opened
from tests.native.pictures.conftest import PICTURES, TEXTS, Seeing

pytestmark = pytest.mark.native

Rows = NDArray[np.float32]


@pytest.fixture(params=[(), (2,), (1, 3)], ids=["whole", "two", "three"])
def stages(request: pytest.FixtureRequest, seeing: Seeing, tmp_path: Path) -> Iterator[list[worker_native.Slice]]:
    model, store = opened(seeing.model), SliceStore(tmp_path / "store")
    bounds = [0, *request.param, model.model.num_layers]
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                closing(
                    worker_native.Slice(
                        str(store.get_slice(model, *bounds[place : place + 2]).path),
                        n_ctx=256,
                        n_slots=2,
                        n_batch=256,
                        n_ubatch=256,
                        n_threads=1,
                    )
                )
            )
            for place in range(len(bounds) - 1)
        ]


def forward(
    stages: Sequence[worker_native.Slice], tokens: Sequence[int], first: int, slot: int, rows: Rows | None
) -> Rows:
    """The logits of the last row."""
    count = len(tokens)
    ids, places = np.array(tokens, np.int32), np.arange(first, first + count, dtype=np.int32)
    slots, wants = np.full(count, slot, np.int32), np.arange(count) == count - 1
    hidden = rows
    for stage in stages:
        hidden = stage.forward(ids, places, slots, wants, hidden)
    return stages[-1].logits([count - 1])[0]


@pytest.mark.parametrize("slot", [0, 1])
def test_logits_are_those_of_mtmd_on_the_whole_model(
    stages: list[worker_native.Slice], slot: int, seeing: Seeing, encoder: PictureEncoder
) -> None:
    vocab = worker_native.Vocab(str(seeing.model))
    pieces = [encoder.encode(picture, "picture") for picture in PICTURES]
    texts = [vocab.tokenize(text, add_special=False).tolist() for text in TEXTS]
    prompt = joined([[vocab.bos, *texts[0]], pieces[0], texts[1], pieces[1], texts[2]])
    at, logits = 0, None
    for picture in prompt.pictures:
        forward(stages, prompt.token_ids[at : picture.first], at, slot, None)
        forward(stages, [0] * len(picture.rows), picture.first, slot, picture.rows)
        at = picture.end
    logits = [forward(stages, prompt.token_ids[at:], at, slot, None)]
    for place, token in enumerate(seeing.whole.tokens[:-1]):
        logits.append(forward(stages, [token], len(prompt.token_ids) + place, slot, None))
    assert np.array_equal(np.stack(logits), seeing.whole.logits)


def test_rows_of_another_width_are_refused_and_change_nothing(stages: list[worker_native.Slice]) -> None:
    width = stages[0].hidden_width
    before = forward(stages, [5, 6], 0, 0, None)
    with pytest.raises(ValueError, match=rf"hidden: \(2, {width + 1}\) for 2 rows"):
        forward(stages, [0, 0], 2, 0, np.zeros((2, width + 1), np.float32))
    assert [stage.slot_length(0) for stage in stages] == [2] * len(stages)
    assert np.array_equal(forward(stages, [5, 6], 0, 1, None), before)

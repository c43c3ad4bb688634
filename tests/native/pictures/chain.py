"""A model in slices, one behind the other, which is given prompts with pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import worker_native
from cluster.messages.pictures import PicturedPrompt
from cluster.store.slices import SliceStore
from tests.fakes.opened import opened

Rows = NDArray[np.float32]
Stages = Sequence[worker_native.Slice]
CUTS: tuple[tuple[int, ...], ...] = ((), (2,), (1, 3))
CUT_NAMES = ("whole", "two", "three")


@contextmanager
def sliced(path: Path, cuts: Sequence[int], folder: Path, n_slots: int = 4) -> Iterator[list[worker_native.Slice]]:
    """The slices of a model, with slots of 256 tokens."""
    model, store = opened(path), SliceStore(folder)
    bounds = [0, *cuts, model.model.num_layers]
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                closing(
                    worker_native.Slice(
                        str(store.get_slice(model, *bounds[place : place + 2]).path),
                        n_ctx=256,
                        n_slots=n_slots,
                        n_batch=256,
                        n_ubatch=256,
                        n_threads=1,
                    )
                )
            )
            for place in range(len(bounds) - 1)
        ]


def forward(
    stages: Stages,
    tokens: Sequence[int],
    first: int,
    slot: int,
    rows: Rows | None = None,
    *,
    non_causal: bool = False,
) -> Rows:
    """The logits of the last row."""
    count = len(tokens)
    ids, places = np.array(tokens, np.int32), np.arange(first, first + count, dtype=np.int32)
    slots, wants = np.full(count, slot, np.int32), np.arange(count) == count - 1
    hidden = rows
    for stage in stages:
        hidden = stage.forward(ids, places, slots, wants, hidden, non_causal=non_causal)
    return stages[-1].logits([count - 1])[0]


def read(stages: Stages, prompt: PicturedPrompt, slot: int, *, causal_only: bool = False) -> Rows:
    """The logits behind a prompt: each picture and each text between two is one microbatch, as mtmd has it."""
    at, logits = 0, None
    for picture in prompt.pictures:
        if at < picture.first:
            forward(stages, prompt.token_ids[at : picture.first], at, slot)
        zeros = [0] * len(picture.rows)
        non_causal = picture.non_causal and not causal_only
        logits = forward(stages, zeros, picture.first, slot, picture.rows, non_causal=non_causal)
        at = picture.end
    if at < len(prompt.token_ids):
        logits = forward(stages, prompt.token_ids[at:], at, slot)
    assert logits is not None
    return logits


def answered(stages: Stages, prompt: PicturedPrompt, tokens: Sequence[int], slot: int) -> Rows:
    """The logits behind the prompt, and behind each of the tokens but the last, which follow it."""
    logits = [read(stages, prompt, slot)]
    for place, token in enumerate(tokens[:-1]):
        logits.append(forward(stages, [token], len(prompt.token_ids) + place, slot))
    return np.stack(logits)

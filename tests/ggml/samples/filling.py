"""New tensors like another one, and what is drawn: only where there is one possible outcome."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import SHAPE, TORCH_DTYPES, Draw
from tests.ggml.samples.common import Call, any_dtype, any_tensor, sample


@sample
def new_size(draw: Draw, row: Op) -> Call:
    kwargs = {"dtype": TORCH_DTYPES[any_dtype(draw, row)]} if draw(st.booleans()) else {}
    return Call([any_tensor(draw, row, SHAPE), draw(SHAPE)], kwargs)


@sample
def new_full(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, SHAPE), draw(SHAPE), draw(st.integers(-2, 2))])


@sample
def new_tensor(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, SHAPE), draw(st.sampled_from([3, [1, 2], [[1], [0]], []]))])


@sample
def multinomial(draw: Draw, row: Op) -> Call:
    count = draw(st.integers(1, 5))
    weights = torch.zeros(draw(st.integers(1, 3)), count)
    weights[:, draw(st.integers(0, count - 1))] = 2.0
    again = draw(st.booleans())
    return Call([weights if draw(st.booleans()) else weights[0], draw(st.integers(0, 3 if again else 1)), again])


@sample
def gumbel_softmax(draw: Draw, row: Op) -> Call:
    logits = torch.zeros(draw(st.integers(1, 3)), 4)
    logits[:, draw(st.integers(0, 3))] = 1e4
    return Call([logits], {"hard": draw(st.booleans()), "tau": draw(st.sampled_from([1.0, 0.5]))})

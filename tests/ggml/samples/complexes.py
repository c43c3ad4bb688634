"""Complex numbers, which are pairs in ``ggml``."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import FULL_SHAPE, Draw, broadcastable, tensor
from tests.ggml.samples.common import Call, any_dtype, any_tensor, sample


def _pairs(draw: Draw, shape: tuple[int, ...]) -> Any:
    return tensor(draw, (*shape, 2), specials=True).contiguous()


@sample
def pairs(draw: Draw, row: Op) -> Call:
    shape = (*draw(FULL_SHAPE), draw(st.sampled_from([2, 2, 2, 2, 3])))
    return Call([tensor(draw, shape, any_dtype(draw, row)).clone(memory_format=torch.contiguous_format)])


@sample
def complex_only(draw: Draw, row: Op) -> Call:
    """The oracle makes complex numbers of these pairs."""
    return Call([_pairs(draw, draw(FULL_SHAPE))])


@sample
def complex_or_real(draw: Draw, row: Op) -> Call:
    """Real ones; tests/ggml/ops/test_complex.py has the others."""
    return Call([any_tensor(draw, row, specials=True)])


@sample
def complex_product(draw: Draw, row: Op) -> Call:
    shape = draw(FULL_SHAPE)
    a = tensor(draw, (*shape, 2)).contiguous()
    return Call([a, tensor(draw, (*broadcastable(draw, shape), 2)).contiguous()])

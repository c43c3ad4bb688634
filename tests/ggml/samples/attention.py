"""Attention, and what is made of products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import Draw, broadcastable, laid_out, tensor, torch
from tests.ggml.samples.common import Call, any_dtype, sample


def _mask(draw: Draw, shape: tuple[int, ...]) -> Any:
    """Bools, or numbers with some -inf; now and then whole rows are hidden."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    shape = (*broadcastable(draw, shape[:-2]), *(draw(st.sampled_from((extent, extent, 1))) for extent in shape[-2:]))
    seen = rng.random(shape) < draw(st.sampled_from((0.3, 0.8)))
    if draw(st.booleans()):
        return laid_out(draw, torch.from_numpy(seen))
    numbers = np.where(seen, rng.normal(size=shape), -math.inf).astype(np.float32)
    return laid_out(draw, torch.from_numpy(np.array(numbers)))


@sample
def attention(draw: Draw, row: Op) -> Call:
    length, keys = draw(st.sampled_from((0, 1, 3, 5, 70))), draw(st.sampled_from((0, 1, 3, 7, 80)))
    width, out = draw(st.sampled_from((0, 1, 4, 7, 32))), draw(st.sampled_from((0, 1, 5, 16)))
    dtype = any_dtype(draw, row)
    groups, per_group = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    outer = draw(st.lists(st.integers(1, 3), max_size=2).map(tuple))
    is_grouped = draw(st.booleans())
    lead = (*outer, groups * per_group)
    if is_grouped:
        few = (*outer, groups)
        leads: Any = (lead, few, few)
    else:
        lead = lead if draw(st.booleans()) else ()
        leads = (lead, *(broadcastable(draw, lead) for _ in range(2))) if draw(st.booleans()) else (lead,) * 3
    ends = ((length, width), (keys, width), (keys, out))
    args = [tensor(draw, (*before, *end), dtype, -2.0, 2.0) for before, end in zip(leads, ends, strict=True)]
    kind = draw(st.sampled_from(("none", "mask", "causal")))
    kwargs: dict[str, Any] = {"enable_gqa": True} if is_grouped else {}
    if kind == "mask":
        kwargs["attn_mask"] = _mask(draw, (*lead, length, keys))
    if kind == "causal":
        kwargs["is_causal"] = True
    if draw(st.booleans()):
        # PyTorch's own kernel multiplies the -inf of a causal mask with the scale.
        kwargs["scale"] = 0.3 if kind == "causal" else draw(st.sampled_from((0.3, 0.0, -1.0)))
    return Call(args, kwargs)

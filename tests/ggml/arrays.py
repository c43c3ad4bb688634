"""Random tensors for the tests: every layout PyTorch knows, and the values that break things."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import ggml

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

Draw = Callable[[Any], Any]

TORCH_DTYPES = {
    name: getattr(torch, name, None) for name in ("float32", "float16", "bfloat16", "int32", "int64", "bool")
}

EXTENT = st.integers(0, 5)
SHAPE = st.lists(EXTENT, min_size=0, max_size=4).map(tuple)
FULL_SHAPE = st.lists(st.integers(1, 5), min_size=0, max_size=4).map(tuple)
LONG_SHAPE = st.one_of(SHAPE, st.lists(st.integers(1, 2), min_size=5, max_size=7).map(tuple), st.just((3, 300)))
SPECIAL = np.array([0.0, -0.0, math.nan, math.inf, -math.inf, 1.0, -1.0, 0.5, 2.5, -2.5], np.float32)


def values(draw: Draw, shape: tuple[int, ...], dtype: str, low: float, high: float, specials: bool) -> Any:
    """A torch tensor with random values, about half of them ties or specials where these are wanted."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    if dtype == "bool":
        return torch.from_numpy(np.array(rng.random(shape) < 0.5))
    if dtype.startswith("int"):
        return torch.from_numpy(np.array(rng.integers(int(low), int(high) + 1, shape))).to(TORCH_DTYPES[dtype])
    array = np.array(rng.uniform(low, high, shape), np.float32)
    kind = draw(st.sampled_from(("plain", "ties", "special") if specials else ("plain", "ties")))
    if kind == "ties":
        array = np.array(np.round(array * 2) / 2)
    if kind == "special":
        array = np.where(rng.random(shape) < 0.4, rng.choice(SPECIAL, shape), array)
    return torch.from_numpy(np.array(array, np.float32)).to(TORCH_DTYPES[dtype])


def laid_out(draw: Draw, x: Any) -> Any:
    """The same values with other strides: permuted, with gaps, or repeated with stride 0."""
    layout = draw(st.sampled_from(("plain", "plain", "permuted", "gaps", "repeated", "offset")))
    if layout == "permuted" and x.ndim > 1:
        order = draw(st.permutations(range(x.ndim)))
        return x.permute(*order).contiguous().permute(*np.argsort(order).tolist())
    if layout == "gaps" and x.ndim:
        return torch.stack([x, x], -1).flatten(-2)[..., ::2]
    if layout == "repeated" and x.ndim and x.shape[0] > 0:
        return x[:1].expand(x.shape)
    if layout == "offset" and x.ndim:
        return torch.cat([x, x], 0)[x.shape[0] :]
    return x


def tensor(
    draw: Draw,
    shape: Any = LONG_SHAPE,
    dtype: str = "float32",
    low: float = -4.0,
    high: float = 4.0,
    specials: bool = False,
) -> Any:
    """A torch tensor of a drawn (or given) shape, in a drawn layout."""
    extents = shape if isinstance(shape, tuple) else draw(shape)
    return laid_out(draw, values(draw, extents, dtype, low, high, specials))


def broadcastable(draw: Draw, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts to ``shape`` (or beyond it, to the left)."""
    kept = shape[draw(st.integers(0, len(shape))) :]
    return tuple(1 if draw(st.booleans()) and draw(st.booleans()) else extent for extent in kept)


def to_ggml(value: Any) -> Any:
    """The arguments of a call with ggml's tensors in place of torch's, over the same memory."""
    if isinstance(value, torch.Tensor):
        return ggml.from_dlpack(value)
    if isinstance(value, torch.dtype):
        return getattr(ggml, str(value).removeprefix("torch."))
    if isinstance(value, (list, tuple)):
        return type(value)(to_ggml(item) for item in value)
    if isinstance(value, dict):
        return {key: to_ggml(item) for key, item in value.items()}
    return value

"""Order statistics and running results."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import FULL_SHAPE, LONG_SHAPE, Draw, tensor
from tests.ggml.samples.common import Call, any_dim, any_dims, any_dtype, any_tensor, sample

_VECTORS = st.lists(st.integers(0, 5), min_size=1, max_size=4).map(tuple)


@sample
def reduce_numbers(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, specials=True)
    if row.dtypes[-1].name == "bool" and draw(st.booleans()):
        x = tensor(draw, LONG_SHAPE, "float32", specials=True)
    dim = any_dims(draw, x)
    return Call([x], {} if dim is None else {"dim": dim, "keepdim": draw(st.booleans())})


def distinct(draw: Draw, x: Any) -> Any:
    """The same shape and dtype without ties, whose places PyTorch leaves open."""
    import numpy as np
    import torch

    order = np.random.default_rng(draw(st.integers(0, 1000))).permutation(x.numel()).astype(np.int64)
    return torch.from_numpy(order.reshape(tuple(x.shape))).to(x.dtype)


@sample
def kthvalue(draw: Draw, row: Op) -> Call:
    x = distinct(draw, any_tensor(draw, row, FULL_SHAPE))
    dim = any_dim(draw, x)
    size = x.shape[dim] if x.ndim else 1
    return Call([x, draw(st.integers(0, size)), dim], {"keepdim": draw(st.booleans())})


@sample
def median(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, _VECTORS if draw(st.booleans()) else FULL_SHAPE, specials=True)
    if draw(st.booleans()):
        return Call([x])
    if not x.is_floating_point() or not bool(x.isnan().any()):
        x = distinct(draw, x)
    return Call([x], {"dim": any_dim(draw, x), "keepdim": draw(st.booleans())})


@sample
def mode(draw: Draw, row: Op) -> Call:
    x = distinct(draw, any_tensor(draw, row, FULL_SHAPE))
    return Call([x], {"dim": any_dim(draw, x), "keepdim": draw(st.booleans())})


@sample
def quantile(draw: Draw, row: Op) -> Call:
    x = tensor(draw, FULL_SHAPE, specials=False)
    if draw(st.integers(0, 3)) == 0:
        x = x.clone()
        x.reshape(-1)[:1] = float("nan")
    q: Any = draw(st.sampled_from([0.0, 0.5, 0.3, 1.0, 1.5]))
    if draw(st.booleans()):
        q = tensor(draw, (draw(st.integers(1, 3)),), "float32", 0, 1).contiguous()
    kwargs = {"interpolation": draw(st.sampled_from(["linear", "lower", "higher", "midpoint", "nearest"]))}
    if draw(st.booleans()):
        kwargs["dim"] = any_dim(draw, x)
    return Call([x, q], {**kwargs, "keepdim": draw(st.booleans())})


@sample
def aminmax(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, specials=True)
    return Call([x], {"dim": any_dim(draw, x), "keepdim": draw(st.booleans())} if draw(st.booleans()) else {})


@sample
def msort(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, specials=True)])


@sample
def diff(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, _VECTORS)
    dim = any_dim(draw, x)
    kwargs: dict[str, Any] = {"n": draw(st.sampled_from([1, 1, 2, 3, 0, 9])), "dim": dim}
    for end in ("prepend", "append"):
        if draw(st.booleans()):
            shape = list(x.shape)
            shape[dim] = draw(st.integers(0, 2))
            kwargs[end] = tensor(draw, tuple(shape), str(x.dtype).removeprefix("torch."))
    return Call([x], kwargs)


@sample
def trapezoid(draw: Draw, row: Op) -> Call:
    y = tensor(draw, _VECTORS, any_dtype(draw, row))
    dim = any_dim(draw, y)
    kind = draw(st.sampled_from(["none", "dx", "line", "full"]))
    if kind == "dx":
        return Call([y], {"dx": draw(st.sampled_from([2, 0.5])), "dim": dim})
    if kind == "none":
        return Call([y], {"dim": dim})
    shape = tuple(y.shape) if kind == "full" else (y.shape[dim],)
    return Call([y, tensor(draw, shape)], {"dim": dim})

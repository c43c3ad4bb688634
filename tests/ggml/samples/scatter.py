"""Rows that write by index, and rows whose result depends on the elements."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import FULL_SHAPE, LONG_SHAPE, SHAPE, TORCH_DTYPES, Draw, broadcastable, tensor
from tests.ggml.samples.common import Call, any_dim, any_dtype, any_tensor, sample
from tests.ggml.samples.places import getitem as drawn_getitem
from tests.ggml.samples.places import some_places

SOME_AXES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


def _like(draw: Draw, x: Any, shape: tuple[int, ...]) -> Any:
    """Another tensor of the dtype; small, so that products stay exact."""
    return tensor(draw, shape, str(x.dtype).removeprefix("torch."), -2, 2)


def _scatter(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, FULL_SHAPE)
    dim = any_dim(draw, x)
    shape = [draw(st.integers(1, extent)) for extent in x.shape]
    if draw(st.booleans()):
        shape = list(x.shape)
    if shape:
        shape[dim] = draw(st.integers(0, 6))
    index = some_places(draw, tuple(shape), x.shape[dim] if x.ndim else 1, draw(st.sampled_from(["int32", "int64"])))
    return Call([x, dim, index, _like(draw, x, tuple(extent + draw(st.integers(0, 2)) for extent in shape))])


@sample
def scatter(draw: Draw, row: Op) -> Call:
    call = _scatter(draw, row)
    x, dim, index, source = call.args
    # PyTorch does not say which of equal indices wins: let each put the same there.
    kind = draw(st.sampled_from(["number", "value", "same", "add", "multiply"]))
    if kind in ("number", "value"):
        number = draw(st.sampled_from([0, 2, -1.5, True]))
        return Call([x, dim, index, number]) if kind == "number" else Call([x, dim, index], {"value": number})
    if kind == "same":
        return Call([x, dim, index, source[:1].expand(source.shape) if dim == 0 and source.ndim else source * 0])
    return Call(call.args, {"reduce": kind})


@sample
def scatter_add(draw: Draw, row: Op) -> Call:
    return _scatter(draw, row)


@sample
def scatter_reduce(draw: Draw, row: Op) -> Call:
    kind = draw(st.sampled_from(["sum", "prod", "mean", "amax", "amin"]))
    return Call([*_scatter(draw, row).args, kind], {"include_self": draw(st.booleans())})


def _slices(draw: Draw, row: Op, unique: bool = False, indices: str = "int64") -> Call:
    x = any_tensor(draw, row, SOME_AXES)
    dim = any_dim(draw, x)
    num = draw(st.integers(0, x.shape[dim] if unique else 6))
    order = draw(st.permutations(list(range(x.shape[dim]))))[:num]
    index = torch.tensor(order, dtype=torch.int64) if unique else some_places(draw, (num,), x.shape[dim], indices)
    shape = list(x.shape)
    shape[dim] = index.numel()
    return Call([x, dim, index, _like(draw, x, tuple(shape))])


@sample
def index_add(draw: Draw, row: Op) -> Call:
    kwargs = {"alpha": draw(st.sampled_from([1, 2, -1]))} if draw(st.booleans()) else {}
    return Call(_slices(draw, row, indices=draw(st.sampled_from(["int32", "int64"]))).args, kwargs)


@sample
def index_copy(draw: Draw, row: Op) -> Call:
    return _slices(draw, row, unique=True)


@sample
def index_fill(draw: Draw, row: Op) -> Call:
    x, dim, index, _ = _slices(draw, row).args
    value = draw(st.sampled_from([0, 3, -1.5, True]))
    return Call([x, dim, index - draw(st.integers(0, 1)), torch.tensor(value) if draw(st.booleans()) else value])


@sample
def index_reduce(draw: Draw, row: Op) -> Call:
    kind = draw(st.sampled_from(["prod", "mean", "amax", "amin"]))
    return Call([*_slices(draw, row).args, kind], {"include_self": draw(st.booleans())})


@sample
def put(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, FULL_SHAPE)
    order = draw(st.permutations(list(range(x.numel()))))[: draw(st.integers(0, 6))]
    accumulate = draw(st.booleans())
    index = torch.tensor(order, dtype=torch.int64) - (x.numel() if draw(st.booleans()) else 0)
    if accumulate and order:
        index = torch.stack([index, index])
    return Call([x, index, _like(draw, x, tuple(index.shape)), accumulate])


@sample
def take(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, FULL_SHAPE)
    return Call([x, some_places(draw, SHAPE, x.numel(), low=-x.numel())])


@sample
def masked_scatter(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, SHAPE)
    mask = tensor(draw, broadcastable(draw, tuple(x.shape)), "bool")
    return Call([x, mask, _like(draw, x, (draw(st.integers(max(x.numel() - 2, 0), x.numel() + 3)),))])


@sample
def index_put(draw: Draw, row: Op) -> Call:
    """Places that differ, unless they are added up: PyTorch does not say which of equal ones wins."""
    x = any_tensor(draw, row, SOME_AXES)
    accumulate = draw(st.booleans())
    if draw(st.integers(0, 3)) == 0:
        mask = tensor(draw, tuple(x.shape[: draw(st.integers(1, x.ndim))]), "bool")
        return Call([x, (mask,), _like(draw, x, tuple(x[mask].shape[1:])), accumulate])
    num = draw(st.integers(1, x.ndim))
    if accumulate:
        indices = tuple(some_places(draw, (3,), x.shape[d], low=-x.shape[d]) for d in range(num))
    else:
        order = draw(st.permutations(list(range(min(x.shape[:num])))))
        indices = tuple(torch.tensor(order) for _ in range(num))
    return Call([x, indices, _like(draw, x, broadcastable(draw, tuple(x[indices].shape))), accumulate])


@sample
def setitem(draw: Draw, row: Op) -> Call:
    x, index = drawn_getitem(draw, row).args
    if draw(st.integers(0, 3)) == 0 and isinstance(index, tuple):
        at = draw(st.integers(0, len(index)))
        index = (*index[:at], draw(st.sampled_from([True, False, None])), *index[at:])
    if draw(st.integers(0, 2)) == 0:
        return Call([x, index, draw(st.sampled_from([0, 3, -1.5, True, float("inf")]))])
    try:
        shape = tuple(x[index].shape)
    except (IndexError, RuntimeError, ValueError, TypeError):
        shape = (1,)
    narrow = broadcastable(draw, shape)
    value = _like(draw, x, (*((1,) if draw(st.booleans()) else ()), *narrow)[:6])
    # Places may come twice, and PyTorch does not say which wins.
    value = value if _differ(index) else (value[..., :1] * 0).expand(value.shape)
    return Call([x, index, value.to(TORCH_DTYPES["float32"]) if draw(st.integers(0, 7)) == 0 else value])


def _differ(index: Any) -> bool:
    items = index if isinstance(index, tuple) else (index,)
    return all(
        not isinstance(item, (torch.Tensor, list)) or getattr(item, "dtype", None) == torch.bool for item in items
    )


@sample
def slice_scatter(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, SOME_AXES)
    dim = any_dim(draw, x)
    bound = st.one_of(st.none(), st.integers(-6, 6))
    start, end, step = draw(bound), draw(bound), draw(st.integers(1, 3))
    index = [slice(None)] * x.ndim
    index[dim] = slice(start, end, step)
    source = tensor(draw, tuple(x[tuple(index)].shape), draw(st.sampled_from([any_dtype(draw, row), "int64"])))
    return Call([x, source, dim, start, end, step])


@sample
def select_scatter(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, SOME_AXES)
    dim = any_dim(draw, x)
    place = draw(st.integers(-x.shape[dim] - 1, x.shape[dim]))
    shape = list(x.shape)
    del shape[dim]
    return Call([x, tensor(draw, tuple(shape), any_dtype(draw, row)), dim, place])


@sample
def diagonal_scatter(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(0, 5), min_size=2, max_size=4).map(tuple))
    dim1, dim2 = draw(st.permutations(list(range(x.ndim))))[:2]
    offset = draw(st.integers(-3, 3))
    shape = tuple(torch.zeros(x.shape).diagonal(offset, dim1, dim2).shape)
    return Call([x, tensor(draw, shape, any_dtype(draw, row)), offset, dim1, dim2])


@sample
def copy_(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row)
    shape = broadcastable(draw, tuple(x.shape)) if draw(st.integers(0, 4)) else draw(SHAPE)
    return Call([x, tensor(draw, shape, draw(st.sampled_from(list(TORCH_DTYPES))))])


@sample
def fill_(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row)
    value = draw(st.sampled_from([0, 3, -1.5, True, float("nan"), 1 << 40, 1e300]))
    return Call([x, torch.tensor(value) if draw(st.booleans()) and abs(value) < 9 else value])


@sample
def fill_diagonal_(draw: Draw, row: Op) -> Call:
    extent = draw(st.integers(1, 5))
    shape = draw(st.sampled_from([(extent, 3), (9, extent), (extent,) * 3, (3,), (2, 3, 4), (0, 2)]))
    return Call([any_tensor(draw, row, shape), draw(st.sampled_from([2, -1.5, True])), draw(st.booleans())])


# Read on the host


@sample
def nonzero(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, specials=True)], {"as_tuple": draw(st.booleans())})


@sample
def masked_select(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, SHAPE, specials=True)
    mask = tensor(draw, broadcastable(draw, tuple(x.shape)), "bool")
    return Call([x[:1], mask] if x.ndim and draw(st.booleans()) else [x, mask])


def _flags(draw: Draw) -> dict[str, Any]:
    return {name: draw(st.booleans()) for name in ("return_inverse", "return_counts")}


@sample
def unique(draw: Draw, row: Op) -> Call:
    with_dim = draw(st.booleans())
    x = any_tensor(draw, row, specials=not with_dim)
    x = x.round() if x.is_floating_point() else x
    kwargs = _flags(draw)
    if kwargs["return_inverse"] and x.is_floating_point():
        x = x.nan_to_num(nan=0.0, posinf=float("inf"), neginf=float("-inf"))  # which NaN is which is left open
    if with_dim:
        # PyTorch's own result where slices repeat and have no elements is an error.
        kwargs["dim"] = any_dim(draw, x)
    return Call([x], kwargs)


@sample
def unique_consecutive(draw: Draw, row: Op) -> Call:
    return unique(draw, row)


@sample
def bincount(draw: Draw, row: Op) -> Call:
    x = tensor(draw, (draw(st.integers(0, 9)),), any_dtype(draw, row), draw(st.sampled_from([0, 0, 0, -1])), 6)
    weights = [tensor(draw, tuple(x.shape))] if draw(st.booleans()) else []
    return Call([x, *weights], {"minlength": draw(st.integers(0, 8))})


@sample
def histc(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(0, 5), max_size=3).map(tuple))
    if x.element_size() == 2:
        x = (2 * x).round() / 2  # PyTorch finds the bin in 16 bits, and misses it by one near its bounds
    kwargs = {"min": draw(st.sampled_from([-2, 0, 1.5])), "max": draw(st.sampled_from([0, 3]))}
    return Call([x, draw(st.integers(1, 7))], kwargs if draw(st.booleans()) else {})


@sample
def histogram(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, LONG_SHAPE)
    kwargs: dict[str, Any] = {"density": draw(st.booleans())}
    if draw(st.booleans()):
        kwargs["weight"] = tensor(draw, tuple(x.shape), low=0)
    if draw(st.booleans()):
        return Call([x, torch.tensor([-3.0, -1.0, 0.5, 2.0])], kwargs)
    if draw(st.booleans()):
        kwargs["range"] = draw(st.sampled_from([(-2.0, 2.0), (0.0, 0.0), (1.0, 3.0)]))
    return Call([x, draw(st.sampled_from([1, 2, 4, 8]))], kwargs)


@sample
def searchsorted(draw: Draw, row: Op) -> Call:
    rows = any_tensor(draw, row, st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple))
    shape = draw(SHAPE) if rows.ndim == 1 else (*rows.shape[:-1], draw(st.integers(0, 4)))
    kwargs: dict[str, Any] = {"out_int32": draw(st.booleans())}
    kwargs |= draw(st.sampled_from([{}, {"right": True}, {"side": "left"}, {"side": "right"}]))
    if draw(st.booleans()):
        kwargs["sorter"] = torch.argsort(rows, -1)
    else:
        rows = rows.sort(-1).values
    values = tensor(draw, shape, any_dtype(draw, row), specials=True)
    return Call([rows, draw(st.sampled_from([2, -0.5])) if rows.ndim == 1 and draw(st.booleans()) else values], kwargs)


@sample
def bucketize(draw: Draw, row: Op) -> Call:
    edges = any_tensor(draw, row, st.tuples(st.integers(0, 6))).sort().values
    values = tensor(draw, SHAPE, any_dtype(draw, row), specials=True)
    return Call([values, edges], {"right": draw(st.booleans()), "out_int32": draw(st.booleans())})

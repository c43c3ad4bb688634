"""Writing elements at places that an index tensor names. The result is a new value; ``name_`` gives it to a handle."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ggml.core import dtypes
from ggml.core.dtypes import F32, PLAIN, DType
from ggml.core.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeMismatchError
from ggml.core.node import Node, Shape
from ggml.graph.builder import Builder
from ggml.graph.value import Value, row_major
from ggml.ops.elementwise.selection import where
from ggml.ops.index.indexing import index_tensor
from ggml.registry.arguments import Number, convert, fitting, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor, filled
from ggml.tensors.transfer import axis

#: The kernel that does what ``reduce`` asks for.
KERNELS = {"sum": "add", "prod": "multiply", "mean": "add", "amax": "max", "amin": "min"}


class Scatter(NamedTuple):
    """How elements are written: with which kernel, along which axis of the input."""

    at: int
    kernel: str
    may_wrap: bool  # negative indices count from the end
    is_shared: bool  # one index for a whole slice, instead of one for each element


def lower_scatter(b: Builder, values: Sequence[Value], params: Scatter, node: Node) -> Value:
    """The part of the input that the index can reach, written to as [outer, axis, inner]."""
    at, kernel, may_wrap, is_shared = params
    base, places, source = values
    if kernel != "put" and base.type in (dtypes.F16, dtypes.BF16):
        base, source = b.cast(base, F32), b.cast(source, F32)
    shape = base.shape
    box = shape if is_shared else tuple(shape[d] if d == at else places.shape[d] for d in range(len(shape)))
    old = base.cut([0] * len(box), [1] * len(box), box)
    inner = math.prod(box[at + 1 :])
    planes = b.reshape(old, (math.prod(box[:at]), box[at], inner))
    source = b.reshape(source, (planes.shape[0], source.shape[at], inner))
    written = b.scatter(kernel, planes, places, source, may_wrap).reshape_to(box)
    if node.dtype is dtypes.bool_ and kernel == "add":
        written = b.to_dtype(written, dtypes.bool_)
    return written if box == shape else b.paste(b.dense(base), written, row_major(shape), 0)


def written(
    name: str, x: Tensor, at: int, places: Tensor, source: Tensor, kernel: str, *, may_wrap: bool, is_shared: bool
) -> Tensor:
    """The node of a scatter whose arguments the row ``name`` has checked. ``places`` has one axis if it is shared,
    else as many as ``x``; ``source`` has its extents."""
    if places._node.numel == 0 or source._node.numel == 0:
        return x._alias()
    if x._node.shape[at] == 0:
        raise IndexOutOfRangeError(name, f"there is no place along dim {at} of {x._node.shape}")
    return make(name, (x, places, source), Scatter(at, kernel, may_wrap, is_shared), x._node.shape, x._node.dtype)


def with_axis(x: Tensor) -> Tensor:
    """A tensor without axes as one of a single element along one."""
    return x if x.ndim else x.reshape(1)


def _fitted(name: str, x: Tensor, at: int, places: Tensor, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Input, index and source with at least one axis, the source cut to the index; or ShapeMismatchError."""
    if source.dtype is not x.dtype:
        raise DTypeError(name, f"a source of {x.dtype}", source.dtype)
    x, places, source = with_axis(x), with_axis(places), with_axis(source)
    have, wanted, given = x._node.shape, places._node.shape, source._node.shape
    if not len(have) == len(wanted) == len(given):
        raise ShapeMismatchError(name, "as many axes in input, index and source", (have, wanted, given))
    for d, extent in enumerate(wanted):
        if extent > given[d] or (d != at and extent > have[d]):
            raise ShapeMismatchError(name, f"an index no larger than {have} but for dim {at}, nor than {given}", wanted)
    return x, places, source[tuple(slice(extent) for extent in wanted)]


def _scattered(name: str, x: Tensor, dim: int, index: Any, source: Tensor, kernel: str) -> Tensor:
    places, at = index_tensor(name, index), axis(name, dim, x.ndim)
    if not places.numel():
        return x._alias()
    wide, places, source = _fitted(name, x, at, places, source)
    result = written(name, wide, at, places, source, kernel, may_wrap=False, is_shared=False)
    return result.reshape(x._node.shape)


@op(runs="kernel", sample="scatter", lower=lower_scatter, dtypes=PLAIN, widens=False, inplace=True)
def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor | Number | None = None,
    *,
    value: Number | None = None,
    reduce: str | None = None,
) -> Tensor:
    """``input`` with ``src`` (a tensor, or one number for all) put where ``index`` says along ``dim``.

    Where an index comes twice, the last element stays. ``reduce`` may be "add" or "multiply".
    """
    x = tensor("scatter", input)
    if (src is None) == (value is None):
        raise ArgumentError("scatter", "src and value", "cannot be given together, nor both left out")
    if reduce not in (None, "add", "multiply"):
        raise ArgumentError("scatter", "reduce", f"must be 'add' or 'multiply', not {reduce!r}")
    kernel = "put" if reduce is None else reduce
    if isinstance(src, Tensor):
        return _scattered("scatter", x, dim, index, tensor("scatter", src, "src"), kernel)
    places = index_tensor("scatter", index)
    fill = fitting("scatter", value if src is None else src, x.dtype)
    same = filled((), fill, x.dtype, x.device).expand(places._node.shape)
    return _scattered("scatter", x, dim, places, same, kernel)


@op(runs="kernel", sample="scatter_add", lower=lower_scatter, dtypes=PLAIN, widens=False, inplace=True)
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """``input`` with ``src`` added where ``index`` says along ``dim``."""
    return _scattered("scatter_add", tensor("scatter_add", input), dim, index, tensor("scatter_add", src, "src"), "add")


@op(runs="kernel", sample="scatter_reduce", lower=lower_scatter, dtypes=PLAIN, widens=False, inplace=True)
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """``input`` with ``src`` combined where ``index`` says along ``dim``: "sum", "prod", "mean", "amax", "amin".

    Without ``include_self`` an element that is written to does not count itself.
    """
    x, source = tensor("scatter_reduce", input), tensor("scatter_reduce", src, "src")
    kind = reduction("scatter_reduce", reduce, tuple(KERNELS))
    if kind == "mean" and x.dtype is dtypes.bool_:
        raise DTypeError("scatter_reduce", "numbers to take the mean of", x.dtype)
    if source.dtype is not x.dtype:
        raise DTypeError("scatter_reduce", f"a source of {x.dtype}", source.dtype)

    def write(base: Tensor, values: Tensor, kernel: str) -> Tensor:
        return _scattered("scatter_reduce", base, dim, index, values, kernel)

    return reduced(x, source, kind, bool(include_self), write)


def reduction(name: str, reduce: Any, known: tuple[str, ...]) -> str:
    if reduce not in known:
        raise ArgumentError(name, "reduce", f"must be one of {', '.join(known)}, not {reduce!r}")
    return str(reduce)


def reduced(
    x: Tensor, source: Tensor, kind: str, include_self: bool, write: Callable[[Tensor, Tensor, str], Tensor]
) -> Tensor:
    """``write`` made a reduction: elements that are written to start from nothing unless they count themselves, and a
    mean is divided by how many came together. 16-bit floats are rounded once, at the end."""
    dtype = x.dtype
    if dtype.is_floating_point:
        x, source = convert(x, dtypes.float32), convert(source, dtypes.float32)
    start = x if include_self else write(x, _all(source._node.shape, _nothing(kind, x.dtype), x), "put")
    total = write(start, source, KERNELS[kind])
    if kind != "mean":
        return convert(total, dtype)
    ones, nothing = _all(x._node.shape, 1, x), _all(source._node.shape, 0, x)
    counts = write(ones if include_self else write(ones, nothing, "put"), _all(source._node.shape, 1, x), "add")
    counts = where(counts.eq(0), _all((), 1, x), counts)
    return convert(total / counts if dtype.is_floating_point else total.floor_divide(counts), dtype)


def _all(shape: Shape, value: Number, like: Tensor) -> Tensor:
    return filled((), value, like.dtype, like.device).expand(shape)


def _nothing(kind: str, dtype: DType) -> Number:
    """What a reduction starts from."""
    if kind in ("sum", "mean", "prod"):
        return int(kind == "prod")
    sign = -1 if kind == "amax" else 1
    if dtype.is_floating_point:
        return sign * math.inf
    if dtype is dtypes.bool_:
        return sign > 0
    limit = 1 << (31 if dtype is dtypes.int32 else 63)
    return -limit if sign < 0 else limit - 1

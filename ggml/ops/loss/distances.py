"""How far vectors are from each other, and how alike their directions are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.ops.elementwise.pointwise import root
from ggml.ops.elementwise.selection import at_least
from ggml.ops.shape.concatenation import cat
from ggml.ops.shape.cutting import narrow
from ggml.registry.arguments import broadcast, convert, number, result_type, same_dtype, strictly_floating, tensor
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor, wrap
from ggml.tensors.transfer import axis, upload

# The differences of so many elements are held at a time.
_MAX_DIFFERENCES = 1 << 24


def _floating_pair(name: str, x1: Any, x2: Any) -> tuple[Tensor, Tensor, dtypes.DType]:
    a, b = tensor(name, x1, "x1"), tensor(name, x2, "x2")
    dtype = result_type(a, b)
    return a, b, dtype


@op(runs="composed", sample="cosine_similarity", methods=())
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-08) -> Tensor:
    """The cosine of the angle between vectors along ``dim``; lengths below ``eps`` count as ``eps``."""
    a, b, dtype = _floating_pair("cosine_similarity", x1, x2)
    if not dtype.is_floating_point:
        raise DTypeError("cosine_similarity", "a floating dtype", dtype)
    shape = broadcast("cosine_similarity", a._node.shape, b._node.shape)
    at, least = axis("cosine_similarity", dim, len(shape)), float(number("cosine_similarity", eps, "eps"))
    one, other = (convert(value, dtypes.float32).expand(shape) for value in (a, b))
    sizes = [at_least(root(value.square().sum(at, True)), least) for value in (one, other)]
    return convert(((one / sizes[0]) * (other / sizes[1])).sum(at), dtype)


@op(runs="composed", sample="pairwise_distance", methods=())
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-06, keepdim: bool = False) -> Tensor:
    """The ``p``-norm of ``x1 - x2 + eps`` along the last axis."""
    name = "pairwise_distance"
    a, b, dtype = _floating_pair(name, x1, x2)
    if dtypes.bool_ in (a.dtype, b.dtype):
        raise DTypeError(name, "numbers", dtypes.bool_)
    shape = broadcast(name, a._node.shape, b._node.shape)
    if not shape:
        raise ShapeMismatchError(name, "vectors", shape)
    gap = convert(a, dtypes.float32) - convert(b, dtypes.float32) + float(number(name, eps, "eps"))
    length = _norm(name, gap, float(number(name, p, "p")), bool(keepdim))
    return convert(length, dtype if dtype.is_floating_point else dtypes.float32)


def _norm(name: str, gap: Tensor, p: float, keepdim: bool = False) -> Tensor:
    """The ``p``-norm along the last axis of float32; 0 of nothing."""
    if p != p:
        raise ArgumentError(name, "p", "must be a number")
    if gap.shape[-1] == 0 and p > 0:
        return gap.sum(-1, keepdim)
    if p == 1:
        return gap.abs().sum(-1, keepdim)
    return gap.norm(p, -1, keepdim)


@op(runs="composed", sample="dist")
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The ``p``-norm of ``input - other``, all elements together."""
    a, b, dtype = _floating_pair("dist", input, other)
    if not dtype.is_floating_point:
        raise DTypeError("dist", "floats", dtype)
    gap = (convert(a, dtypes.float32) - convert(b, dtypes.float32)).flatten()
    return convert(_norm("dist", gap, float(number("dist", p, "p"))), dtype)


_MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


@op(runs="composed", sample="cdist", dtypes=(dtypes.float32,), methods=())
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Tensor:
    """The ``p``-norms of all differences: [..., P, M] and [..., R, M] to [..., P, R].

    ``compute_mode`` is checked and has no effect: differences are always taken before they are squared.
    """
    a, b = strictly_floating("cdist", x1, "x1"), strictly_floating("cdist", x2, "x2")
    same_dtype("cdist", a, b)
    if compute_mode not in _MODES:
        raise ArgumentError("cdist", "compute_mode", f"must be one of {', '.join(_MODES)}")
    power = _power("cdist", p)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-1]:
        rule = "x1 [..., P, M] and x2 [..., R, M]"
        raise ShapeMismatchError("cdist", rule, (tuple(a.shape), tuple(b.shape)))
    outer = broadcast("cdist", a._node.shape[:-2], b._node.shape[:-2])
    return convert(_between(convert(a, dtypes.float32), convert(b, dtypes.float32), power, outer), a.dtype)


def _power(name: str, p: Any) -> float:
    power = float(number(name, p, "p"))
    if not power >= 0:
        raise ArgumentError(name, "p", f"must not be negative: {p}")
    return power


def _between(a: Tensor, b: Tensor, p: float, outer: tuple[int, ...]) -> Tensor:
    """All distances of float32 rows, some rows of ``a`` at a time."""
    rows, per_row = a.shape[-2], math.prod(outer) * b.shape[-2] * b.shape[-1]
    step = max(1, _MAX_DIFFERENCES // max(per_row, 1))
    parts = []
    for begin in range(0, max(rows, 1), step):
        some = narrow(a, -2, begin, min(step, rows - begin)) if rows > step else a
        parts.append(_norm("cdist", some.unsqueeze(-2) - b.unsqueeze(-3), p))
    return parts[0] if len(parts) == 1 else cat(parts, -2)


@op(runs="composed", sample="pdist", dtypes=(dtypes.float32,), torch="nn.functional.pdist", methods=())
def pdist(input: Tensor, p: float = 2) -> Tensor:
    """The ``p``-norms of the differences of rows [N, M]: 0 and 1, 0 and 2 ... 1 and 2 ...; [N * (N - 1) / 2]."""
    x = strictly_floating("pdist", input)
    if x.ndim != 2:
        raise ShapeMismatchError("pdist", "rows [N, M]", tuple(x.shape))
    count = x.shape[0]
    first, second = np.triu_indices(count, 1)
    if not len(first):
        return convert(x.flatten().narrow(0, 0, 0), x.dtype)
    places = wrap(upload(first * count + second, dtypes.int64, x.device))
    table = _between(convert(x, dtypes.float32), convert(x, dtypes.float32), _power("pdist", p), ())
    return convert(table.flatten().index_select(0, places), x.dtype)

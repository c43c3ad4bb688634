"""Products that are made of products of matrices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import NUMERIC, PLAIN
from ggml.core.errors import ArgumentError, DTypeError, RankError, ShapeMismatchError
from ggml.core.node import MAX_RANK
from ggml.ops.create.factories import eye
from ggml.ops.elementwise.arithmetic import mul
from ggml.ops.linalg.einsum import contract, even
from ggml.ops.linalg.matmul import _blend, _need_axes, matmul, mv, outer
from ggml.ops.linalg.solving import inv
from ggml.ops.shape.concatenation import roll
from ggml.ops.shape.permuting import permute
from ggml.ops.shape.views import expand, reshape
from ggml.registry.arguments import Number, broadcast, integer, same_dtype, strictly_floating, tensor
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import axis


def _named_axes(name: str, dims: Any, a: Tensor, b: Tensor) -> tuple[list[int], list[int]]:
    """The axes of both that are summed over, in pairs."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if not isinstance(dims, (tuple, list)):
        count = integer(name, dims, "dims")
        if not 0 <= count <= min(a.ndim, b.ndim):
            raise ArgumentError(name, "dims", f"must lie in [0, {min(a.ndim, b.ndim)}]: {count}")
        return list(range(a.ndim - count, a.ndim)), list(range(count))
    if len(dims) != 2 or not all(isinstance(one, (tuple, list)) for one in dims) or len(dims[0]) != len(dims[1]):
        raise ArgumentError(name, "dims", f"must be a number or two lists of as many axes: {dims}")
    first, second = [axis(name, one, a.ndim) for one in dims[0]], [axis(name, one, b.ndim) for one in dims[1]]
    if len(set(first)) != len(first) or len(set(second)) != len(second):
        raise ArgumentError(name, "dims", f"names an axis twice: {dims}")
    return first, second


@op(runs="composed", sample="tensordot", dtypes=NUMERIC, methods=())
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The sum of products over axes in pairs: the last ``dims`` of ``a`` and the first of ``b``, or two lists."""
    name = "tensordot"
    left, right = tensor(name, a, "a"), tensor(name, b, "b")
    same_dtype(name, left, right)
    first, second = _named_axes(name, dims, left, right)
    pairs = [(left.shape[one], right.shape[other]) for one, other in zip(first, second, strict=True)]
    if any(one != other and 1 not in (one, other) for one, other in pairs):
        raise ShapeMismatchError(name, "axes of equal extents in pairs", (tuple(left.shape), tuple(right.shape)))
    left, right = even(left, right, list(zip(first, second, strict=True)))
    inner = [left.shape[one] for one in first]
    rows = [d for d in range(left.ndim) if d not in first]
    columns = [d for d in range(right.ndim) if d not in second]
    outside = [*(left.shape[d] for d in rows), *(right.shape[d] for d in columns)]
    x, y = permute(left, [*rows, *first]), permute(right, [*second, *columns])
    count, total = math.prod(left.shape[d] for d in rows), math.prod(inner)
    x = reshape(x, (1, count, total))
    y = reshape(y, (1, total, math.prod(right.shape[d] for d in columns)))
    return reshape(contract(x, y), outside)


@op(runs="composed", sample="kron", dtypes=PLAIN, differs="Tensors of at most four axes.")
def kron(input: Tensor, other: Tensor) -> Tensor:
    """Every element of ``input`` times the whole of ``other``, as one tensor of blocks."""
    a, b = tensor("kron", input), tensor("kron", other, "other")
    rank = max(a.ndim, b.ndim)
    if 2 * rank > MAX_RANK:
        raise RankError("kron", rank, MAX_RANK // 2)
    left, right = ((1,) * (rank - one.ndim) + one._node.shape for one in (a, b))
    x = reshape(a, [extent for one in left for extent in (one, 1)])
    y = reshape(b, [extent for one in right for extent in (1, one)])
    return reshape(mul(x, y), [one * two for one, two in zip(left, right, strict=True)])


@op(runs="composed", sample="inner", dtypes=NUMERIC)
def inner(input: Tensor, other: Tensor) -> Tensor:
    """The sums of products over the last axis of both; with a tensor without axes, the product."""
    a, b = tensor("inner", input), tensor("inner", other, "other")
    if not a.ndim or not b.ndim:
        return mul(a, b)
    if a.shape[-1] != b.shape[-1]:
        rule = "input.shape[-1] equal to other.shape[-1]"
        raise ShapeMismatchError("inner", rule, (tuple(a.shape), tuple(b.shape)))
    return tensordot(a, b, ([-1], [-1]))


@op(runs="composed", sample="dot")
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """As ``dot``: there are no complex numbers to conjugate."""
    _need_axes("vdot", (input, 1), (other, 1))
    return matmul(input, other)


def _chain_order(extents: Sequence[int]) -> dict[tuple[int, int], int]:
    """For matrices i to j, where the cheapest product is cut: its right part begins behind this place."""
    count = len(extents) - 1
    cost = {(i, i): 0 for i in range(count)}
    cuts: dict[tuple[int, int], int] = {}
    for length in range(2, count + 1):
        for i in range(count - length + 1):
            j = i + length - 1
            ways = {k: cost[i, k] + cost[k + 1, j] + extents[i] * extents[k + 1] * extents[j + 1] for k in range(i, j)}
            cuts[i, j] = min(ways, key=lambda k: ways[k])
            cost[i, j] = ways[cuts[i, j]]
    return cuts


def _chain(name: str, matrices: Sequence[Tensor]) -> Tensor:
    same_dtype(name, *matrices)
    shapes = [one._node.shape for one in matrices]
    if any(one[1] != other[0] for one, other in itertools.pairwise(shapes)):
        raise ShapeMismatchError(name, "columns of each matrix equal to the rows of the next", tuple(shapes))
    cuts = _chain_order([shapes[0][0], *(shape[1] for shape in shapes)])

    def product(i: int, j: int) -> Tensor:
        return matrices[i] if i == j else matmul(product(i, cuts[i, j]), product(cuts[i, j] + 1, j))

    return product(0, len(matrices) - 1)


@op(runs="composed", sample="multi_dot", torch="linalg.multi_dot", methods=())
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of two or more matrices in the cheapest order; the first and the last may be vectors."""
    name = "multi_dot"
    if not isinstance(tensors, (tuple, list)) or len(tensors) < 2:
        raise ArgumentError(name, "tensors", "must be at least two, in a sequence")
    parts = [strictly_floating(name, one, "a matrix") for one in tensors]
    ranks = [one.ndim for one in parts]
    if any(rank not in (1, 2) for rank in (ranks[0], ranks[-1])) or any(rank != 2 for rank in ranks[1:-1]):
        raise ShapeMismatchError(name, "matrices, or vectors at the ends", tuple(tuple(one.shape) for one in parts))
    first = reshape(parts[0], (1, -1)) if ranks[0] == 1 and parts[0].numel() else parts[0]
    first = reshape(first, (1, 0)) if first.ndim == 1 else first
    last = reshape(parts[-1], (parts[-1].shape[0], 1)) if ranks[-1] == 1 else parts[-1]
    result = _chain(name, [first, *parts[1:-1], last])
    kept = (result.shape[0],) * (ranks[0] == 2) + (result.shape[1],) * (ranks[-1] == 2)
    return reshape(result, kept)


@op(runs="composed", sample="chain_matmul", methods=())
def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of matrices in the cheapest order."""
    if not matrices:
        raise ArgumentError("chain_matmul", "matrices", "must be at least one")
    _need_axes("chain_matmul", *((one, 2) for one in matrices))
    return _chain("chain_matmul", [strictly_floating("chain_matmul", one, "a matrix") for one in matrices])


def _cross(name: str, a: Tensor, b: Tensor, dim: int) -> Tensor:
    same_dtype(name, a, b)
    if a.dtype is dtypes.bool_:
        raise DTypeError(name, "numbers", a.dtype)
    if a.ndim != b.ndim:
        raise ShapeMismatchError(name, "as many axes on both sides", (tuple(a.shape), tuple(b.shape)))
    at = axis(name, dim, a.ndim)
    if not a.ndim or a.shape[at] != 3 or b.shape[at] != 3:
        raise ShapeMismatchError(name, f"3 elements along dim {dim}", (tuple(a.shape), tuple(b.shape)))
    broadcast(name, a._node.shape, b._node.shape)
    return roll(a, -1, at) * roll(b, 1, at) - roll(a, 1, at) * roll(b, -1, at)


@op(runs="composed", sample="cross", dtypes=NUMERIC)
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The vectors at right angles to those of both, along ``dim`` (the first axis of extent 3 by default)."""
    a, b = tensor("cross", input), tensor("cross", other, "other")
    if dim is None:
        shape = broadcast("cross", a._node.shape, b._node.shape)
        if 3 not in shape:
            raise ShapeMismatchError("cross", "an axis of 3 elements", shape)
        dim = shape.index(3)
    return _cross("cross", a, b, integer("cross", dim, "dim"))


@op(runs="composed", sample="linalg_cross", dtypes=NUMERIC, torch="linalg.cross", methods=())
def linalg_cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The vectors at right angles to those of both, along ``dim``."""
    a, b = tensor("linalg.cross", input), tensor("linalg.cross", other, "other")
    return _cross("linalg.cross", a, b, integer("linalg.cross", dim, "dim"))


@op(runs="composed", sample="addr", inplace=True)
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """``beta * input + alpha * outer(vec1, vec2)``."""
    _need_axes("addr", (vec1, 1), (vec2, 1))
    return _blend("addr", input, outer(vec1, vec2), beta, alpha)


@op(runs="composed", sample="addmv", inplace=True)
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """``beta * input + alpha * (mat @ vec)``."""
    return _blend("addmv", input, mv(mat, vec), beta, alpha)


@op(runs="composed", sample="baddbmm_sum", inplace=True)
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """``beta * input + alpha * sum(batch1 @ batch2)``, summed over the pairs, as one product of matrices."""
    _need_axes("addbmm", (batch1, 3), (batch2, 3))
    if batch1.shape[0] != batch2.shape[0] or batch1.shape[2] != batch2.shape[1]:
        raise ShapeMismatchError("addbmm", "[B, M, K] and [B, K, N]", (tuple(batch1.shape), tuple(batch2.shape)))
    count, rows, width = batch1.shape
    left = reshape(permute(batch1, 1, 0, 2), (rows, count * width))
    return _blend("addbmm", input, matmul(left, reshape(batch2, (count * width, batch2.shape[2]))), beta, alpha)


@op(
    runs="composed",
    sample="matrix_power",
    differs="A negative power is computed at once, so it cannot be compiled. Integers have no powers.",
)
def matrix_power(input: Tensor, n: int) -> Tensor:
    """Square matrices, multiplied with themselves ``n`` times; 0 gives the identity."""
    x, count = strictly_floating("matrix_power", input), integer("matrix_power", n, "n")
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeMismatchError("matrix_power", "square matrices", tuple(x.shape))
    if count < 0:
        return matrix_power(inv(x), -count)
    if not count:
        return expand(eye(x.shape[-1], dtype=x.dtype, device=x.device), tuple(x.shape))
    result: Tensor | None = None
    while count:
        if count & 1:
            result = x if result is None else matmul(result, x)
        count >>= 1
        x = matmul(x, x) if count else x
    assert result is not None
    return result

"""What PyTorch keeps in ``torch.linalg``: norms, products along an axis, triangular systems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import F32, PLAIN, DType, float32
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.create.factories import eye
from ggml.ops.elementwise.arithmetic import mul
from ggml.ops.linalg.matrices import rounded, singular_values
from ggml.ops.reduce import reductions
from ggml.ops.reduce.sorting import tril
from ggml.ops.shape import permuting, strided, views
from ggml.ops.shape.cutting import flip
from ggml.ops.shape.permuting import transpose
from ggml.ops.shape.views import expand, reshape
from ggml.registry.arguments import (
    as_dtype,
    axes,
    broadcast,
    convert,
    norm_order,
    number,
    same_dtype,
    strictly_floating,
    tensor,
)
from ggml.registry.results import TriangularSolution
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import axis


def _floats(name: str, x: Any, dtype: DType | None) -> Tensor:
    given = strictly_floating(name, x, "input")
    return given if dtype is None else strictly_floating(name, convert(given, as_dtype(name, dtype)))


@op(runs="composed", sample="vector_norm", torch="linalg.vector_norm", methods=())
def vector_norm(
    x: Tensor,
    ord: float = 2,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    """The ``ord``-norm of all elements, or along ``dim``. 0 counts what is not 0."""
    given, power = _floats("vector_norm", x, dtype), number("vector_norm", ord, "ord")
    along = axes("vector_norm", dim, given.ndim)
    if (
        power < 0
        and any(not given.shape[at] for at in along)
        and not any(not extent for at, extent in enumerate(given.shape) if at not in along)
    ):
        raise ArgumentError("vector_norm", "ord", f"{power} has no value where there is no element")
    return reductions.norm(given, float(power), dim, keepdim)


def _matrix_axes(name: str, dim: Any, rank: int) -> tuple[int, int]:
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise ArgumentError(name, "dim", f"must be two axes: {dim}")
    first, second = axis(name, dim[0], rank), axis(name, dim[1], rank)
    if rank < 2 or first == second:
        raise ArgumentError(name, "dim", f"must be two different axes of at least two: {dim}")
    return first, second


def _spectral(name: str, x: Tensor, ord: Any, dims: tuple[int, int], keepdim: bool) -> Tensor:
    """The largest, the smallest, or the sum of the singular values."""
    values = singular_values(name, convert(permuting.movedim(x, dims, (-2, -1)), float32))
    if ord != "nuc" and not values.shape[-1]:
        raise ShapeMismatchError(name, "matrices with elements", tuple(x.shape))
    found = rounded(values.sum(-1) if ord == "nuc" else values[..., 0 if ord == 2 else -1], x)
    for at in sorted(dims) if keepdim else ():
        found = views.unsqueeze(found, at)
    return convert(found, x.dtype)


@op(
    runs="composed",
    sample="matrix_norm",
    torch="linalg.matrix_norm",
    methods=(),
    differs="Norms of singular values (2, -2, 'nuc') are computed at once, so they cannot be compiled.",
)
def matrix_norm(
    A: Tensor,
    ord: int | float | str = "fro",
    dim: tuple[int, int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    """The norm of matrices in two axes: ``"fro"``, the largest (or smallest) sum of rows (inf) or of columns (1),
    or of the singular values the largest (2), the smallest (-2) or their sum ("nuc")."""
    name = "matrix_norm"
    given = _floats(name, A, dtype)
    rows, columns = _matrix_axes(name, dim, given.ndim)
    ord = norm_order(name, "ord", ord)
    if ord == "fro":
        return reductions.norm(given, 2, (rows, columns), keepdim)
    if ord in ("nuc", 2, -2) and (ord == -2 or given.numel()):
        return _spectral(name, given, ord, (rows, columns), keepdim)
    if ord not in ("nuc", 2, 1, -1, math.inf, -math.inf) or isinstance(ord, bool):
        raise ArgumentError(name, "ord", f"must be 'fro', 'nuc', inf, -inf, 1, -1, 2 or -2, not {ord!r}")
    power = 0.0 if isinstance(ord, str) else float(ord)
    if not given.numel() and power >= 0:
        return reductions.norm(given, 2, (rows, columns), keepdim)  # without elements it is 0
    summed, kept = (rows, columns) if abs(power) == 1 else (columns, rows)
    best = reductions.amax if power > 0 else reductions.amin
    result = best(reductions.sum(given.abs(), summed, True), kept, True)
    return result if keepdim else views.squeeze(result, (rows, columns))


@op(
    runs="composed",
    sample="linalg_norm",
    torch="linalg.norm",
    methods=(),
    differs="Norms of singular values (2, -2, 'nuc' of matrices) are computed at once, so they cannot be compiled.",
)
def linalg_norm(
    A: Tensor,
    ord: int | float | str | None = None,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    """The 2-norm of all elements; with ``ord``, of a vector or a matrix (two axes, or two in ``dim``)."""
    name = "linalg.norm"
    given = _floats(name, A, dtype)
    if dim is not None and isinstance(dim, (tuple, list)) and len(dim) not in (1, 2):
        raise ArgumentError(name, "dim", f"must be one or two axes: {dim}")
    if ord is None:
        return reductions.norm(given, 2, dim, keepdim)
    if dim is None and given.ndim not in (1, 2):
        raise ShapeMismatchError(name, "one or two axes where ord is given without dim", tuple(given.shape))
    if (given.ndim if dim is None else len(dim) if isinstance(dim, (tuple, list)) else 1) == 2:
        return matrix_norm(given, ord, (0, 1) if dim is None else tuple(dim), keepdim)  # type: ignore[arg-type]
    if isinstance(ord, str):
        raise ArgumentError(name, "ord", f"of a vector must be a number, not {ord!r}")
    return vector_norm(given, ord, dim, keepdim)


@op(runs="composed", sample="vecdot", torch="linalg.vecdot", methods=())
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The sums of products along ``dim``; the other axes broadcast."""
    a, b = strictly_floating("vecdot", x, "x"), strictly_floating("vecdot", y, "y")
    if not a.ndim or not b.ndim:
        raise ShapeMismatchError("vecdot", "at least one axis", (tuple(a.shape), tuple(b.shape)))
    same_dtype("vecdot", a, b)
    wide = broadcast("vecdot", a._node.shape, b._node.shape)
    at = axis("vecdot", dim, len(wide))
    return convert(reductions.sum(mul(convert(a, float32), convert(b, float32)), at), a.dtype)


@op(runs="composed", sample="linalg_diagonal", dtypes=PLAIN, torch="linalg.diagonal", methods=())
def linalg_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonal of the matrices in two axes, as the last axis."""
    return strided.diagonal(A, offset, dim1, dim2)


def _lower_solve(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    sources = [b.operand(value, value.shape) for value in values]
    return b.emit("solve_tri", sources, F32, node.shape)


@op(runs="ggml", sample="internal", lower=_lower_solve, dtypes=(float32,), methods=())
def solve_lower(A: Tensor, B: Tensor) -> Tensor:
    """X of ``A @ X = B`` for lower triangles [b, n, n] and [b, n, k] of float32; the caller has checked."""
    return make("solve_lower", (A, B), (), B._node.shape, B._node.dtype)


def _triangular(name: str, A: Any, B: Any, left: bool) -> tuple[Tensor, Tensor]:
    """Both sides with their outer axes broadcast."""
    a, b = tensor(name, A, "A"), tensor(name, B, "B")
    if a.dtype is not dtypes.float32 or b.dtype is not dtypes.float32:
        raise DTypeError(name, "float32 matrices", f"{a.dtype} and {b.dtype}")
    shapes = tuple(a.shape), tuple(b.shape)
    if min(a.ndim, b.ndim) < 2 or a.shape[-1] != a.shape[-2] or a.shape[-1] != b.shape[-2 if left else -1]:
        raise ShapeMismatchError(name, "square matrices A and a B that they fit", shapes)
    lead = broadcast(name, a._node.shape[:-2], b._node.shape[:-2])
    return expand(a, (*lead, *a.shape[-2:])), expand(b, (*lead, *b.shape[-2:]))


@op(
    runs="composed",
    sample="solve_triangular",
    dtypes=(float32,),
    torch="linalg.solve_triangular",
    methods=(),
)
def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """X of ``A @ X = B`` (or of ``X @ A = B`` with ``left=False``); only one triangle of A is read.

    With ``unitriangular`` the diagonal is taken for 1. ggml's own operation is used on every backend that has it.
    """
    a, b = _triangular("solve_triangular", A, B, bool(left))
    if 0 in b.shape:
        return b
    is_lower = not upper
    if not left:
        a, b, is_lower = transpose(a, -2, -1), transpose(b, -2, -1), not is_lower
    if not is_lower:  # the last row first makes an upper triangle a lower one
        a, b = flip(a, (-2, -1)), flip(b, (-2,))
    if unitriangular:
        a = tril(a, -1) + eye(a.shape[-1], device=a.device)
    flat = [reshape(part, (math.prod(part.shape[:-2]), *part.shape[-2:])) for part in (a, b)]
    result = reshape(solve_lower(*flat), tuple(b.shape))
    result = result if is_lower else flip(result, (-2,))
    return result if left else transpose(result, -2, -1)


@op(runs="composed", sample="adjoint", dtypes=PLAIN, methods=())
def adjoint(input: Tensor) -> Tensor:
    """The transposes of matrices: real numbers have no conjugates."""
    x = tensor("adjoint", input)
    if x.ndim < 2:
        raise ShapeMismatchError("adjoint", "at least two axes", tuple(x.shape))
    return transpose(x, -2, -1)


@op(runs="composed", sample="triangular_solve", dtypes=(float32,), methods=("triangular_solve",))
def triangular_solve(
    b: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> TriangularSolution:
    """The older ``solve_triangular``: X of ``A @ X = b`` (or of ``A.mT @ X = b``), and A, with X's leading extents."""
    given = tensor("triangular_solve", A, "A")
    turned = given.mT if transpose and given.ndim > 1 else given
    is_upper = bool(upper) != bool(transpose)
    solution = solve_triangular(turned, b, upper=is_upper, unitriangular=unitriangular)
    return TriangularSolution(solution, given.expand(*solution.shape[:-2], *given.shape[-2:]))

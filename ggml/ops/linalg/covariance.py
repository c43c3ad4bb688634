"""The trace of a matrix, and how variables go together."""

from __future__ import annotations

from typing import Any

from ggml.core import dtypes, tracing
from ggml.core.dtypes import PLAIN
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.ops.linalg.matmul import matmul
from ggml.ops.reduce import reductions
from ggml.ops.shape.strided import diagonal
from ggml.ops.shape.views import reshape
from ggml.registry.arguments import convert, floating, integer, tensor
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor

_NUMBERS = tuple(kind for kind in PLAIN if kind is not dtypes.bool_)


@op(runs="composed", sample="trace", dtypes=_NUMBERS)
def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal; int64 of integers."""
    x = tensor("trace", input)
    if x.dtype is dtypes.bool_:
        raise DTypeError("trace", "numbers", x.dtype)
    if x.ndim != 2:
        raise ShapeMismatchError("trace", "a matrix", tuple(x.shape))
    return reductions.sum(diagonal(x))


def _weights(name: str, value: Any, x: Tensor, argument: str) -> Tensor:
    given = tensor(name, value, argument)
    if given.ndim > 1 or given.numel() != x.shape[1]:
        raise ShapeMismatchError(name, f"one of {argument} for each of {x.shape[1]} columns", tuple(given.shape))
    if given.is_floating_point() == (argument == "fweights") or given.dtype is dtypes.bool_:
        raise DTypeError(name, f"{'integers' if argument == 'fweights' else 'floats'} as {argument}", given.dtype)
    if not tracing.is_active() and given.numel() and float(given.amin().item()) < 0:
        raise ArgumentError(name, argument, "must not be negative")
    return convert(reshape(given, (x.shape[1],)), dtypes.float32)


@op(
    runs="composed",
    sample="cov",
    dtypes=_NUMBERS,
    differs="In a compiled function negative weights are not noticed.",
)
def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """The covariances of the rows, whose columns are observations that count ``fweights * aweights``."""
    given, less = tensor("cov", input), integer("cov", correction, "correction")
    if given.ndim > 2:
        raise ShapeMismatchError("cov", "at most two axes", tuple(given.shape))
    if given.dtype is dtypes.bool_:
        raise DTypeError("cov", "numbers", given.dtype)
    kind = given.dtype if given.is_floating_point() else dtypes.float32
    wide = convert(floating("cov", given), dtypes.float32)
    x = wide if wide.ndim == 2 else reshape(wide, (1, wide.numel()))
    counts = None if fweights is None else _weights("cov", fweights, x, "fweights")
    shares = None if aweights is None else _weights("cov", aweights, x, "aweights")
    if aweights is not None and aweights.dtype is not kind:
        raise DTypeError("cov", f"aweights of {kind}, as the input is computed in", aweights.dtype)
    weights = counts if shares is None else shares if counts is None else counts * shares
    if weights is None:
        middle, divisor = reductions.mean(x, 1, True), float(max(x.shape[1] - less, 0))
        result = matmul(x - middle, (x - middle).T) / divisor
    else:
        total = weights.sum()
        if not tracing.is_active() and not float(total.item()):
            raise ArgumentError("cov", "fweights and aweights", "must not all be 0")
        rest = total - less if shares is None else total - (weights * shares).sum() / total * less
        away = x - (x * weights).sum(1, True) / total
        result = matmul(away, (away * weights).T) / rest.clamp(min=0)
    return convert(reshape(result, ()) if x.shape[0] == 1 else result, kind)


@op(runs="composed", sample="corrcoef", dtypes=_NUMBERS)
def corrcoef(input: Tensor) -> Tensor:
    """The correlations of the rows, whose columns are observations."""
    x = tensor("corrcoef", input)
    if x.ndim > 2:
        raise ShapeMismatchError("corrcoef", "at most two axes", tuple(x.shape))
    shared = convert(cov(x), dtypes.float32)
    kind = x.dtype if x.is_floating_point() else dtypes.float32
    if not shared.ndim:
        return convert(shared / shared, kind)
    spread = diagonal(shared).sqrt()
    return convert((shared / spread.unsqueeze(1) / spread.unsqueeze(0)).clamp(-1.0, 1.0), kind)

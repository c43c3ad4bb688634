"""Products of matrices, and systems of equations."""

from __future__ import annotations

import math

from ggml.autograd.derivative import Gradients, Step, derivative, summed_to
from ggml.core import dtypes
from ggml.ops.linalg.matmul import matmul
from ggml.tensors.tensor import Tensor


def _matrix(x: Tensor) -> Tensor:
    """A weight as floats that a product can have on either side."""
    return x.float() if x.dtype.is_quantized or x.dtype is not dtypes.float32 else x


@derivative("matmul")
def _matmul(step: Step, g: Tensor) -> Gradients:
    a_shape, b_shape = step.shape(0), step.shape(1)
    rows = g.unsqueeze(-1) if len(b_shape) == 1 else g
    rows = rows.unsqueeze(-2) if len(a_shape) == 1 else rows
    rows = _matrix(rows)
    first = second = None
    if step.needs(0):
        b = _matrix(step[1])
        b = b.unsqueeze(-1) if len(b_shape) == 1 else b
        wide = a_shape if len(a_shape) > 1 else (1, *a_shape)
        first = summed_to(matmul(rows, b.mT), wide).reshape(a_shape)
    if step.needs(1):
        a = _matrix(step[0])
        a = a.unsqueeze(0) if len(a_shape) == 1 else a
        wide = b_shape if len(b_shape) > 1 else (*b_shape, 1)
        if len(wide) == 2 and rows.ndim > 2:  # one weight for many matrices: their rows are one long matrix
            outer = math.prod(a._node.shape[:-1])
            spread = a.expand(*rows._node.shape[:-2], *a._node.shape[-2:]).reshape(-1, a_shape[-1])
            a = spread if math.prod(rows._node.shape[:-1]) != outer else a.reshape(outer, a_shape[-1])
            rows = rows.reshape(-1, rows._node.shape[-1])
        second = summed_to(matmul(a.mT, rows), wide).reshape(b_shape)
    return first, second


@derivative("linear")
def _linear(step: Step, g: Tensor) -> Gradients:
    rows = _matrix(g.reshape(-1, g.shape[-1]))
    first = second = None
    if step.needs(0):
        # A quantised weight is read where it lies: as floats it would take eight times its memory in each step.
        weight = step[1] if step.dtype(1).is_quantized else _matrix(step[1])
        first = matmul(rows, weight).reshape(step.shape(0))
    if step.needs(1):
        second = matmul(rows.mT, _matrix(step[0].reshape(-1, step.shape(0)[-1])))
    return (first, second) if len(step) == 2 else (first, second, rows)


@derivative("matmul_chosen")
def _matmul_chosen(step: Step, g: Tensor) -> Gradients:
    """Row ``t`` times matrix ``chosen[t]``: see ``ggml.ops.linalg.grouped``."""
    rows, matrices, chosen = step[0], step[1], step[2]
    first = second = None
    if step.needs(0):
        picked = matrices.index_select(0, chosen.reshape(-1))
        first = matmul(g.unsqueeze(1), picked.mT).squeeze(1)
    if step.needs(1):
        outer = rows.unsqueeze(2) * g.unsqueeze(1)
        second = matrices.new_zeros(step.shape(1)).index_add(0, chosen.reshape(-1), outer)
    return first, second, None


@derivative("solve_lower")
def _solve_lower(step: Step, g: Tensor) -> Gradients:
    """``A X = B`` with a lower triangle A: the gradient of B solves the transposed system."""
    from ggml.ops.linalg.norms import solve_triangular

    below = solve_triangular(step[0].mT, g, upper=True)
    first = -matmul(below, step.result.mT).tril() if step.needs(0) else None
    return first, below

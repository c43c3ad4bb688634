"""What the host works out, at once and with LAPACK. Parameters are the arguments that are no tensors, by name."""

from __future__ import annotations

from ggml.autograd.derivative import Gradients, Step, derivative, without
from ggml.ops.create.factories import zeros
from ggml.ops.elementwise.selection import where
from ggml.ops.linalg.matmul import matmul
from ggml.ops.linalg.norms import solve_triangular
from ggml.ops.linalg.solving import inv
from ggml.registry.arguments import broadcast
from ggml.registry.host_results import argwhere
from ggml.tensors.tensor import Tensor


@derivative("masked_select")
def _masked_select(step: Step, g: Tensor) -> Gradients:
    shape = broadcast("masked_select", step.shape(0), step.shape(1))
    places = argwhere(step[1].expand(shape).reshape(-1)).reshape(-1)
    count = 1
    for extent in shape:
        count *= extent
    return zeros(count, dtype=g.dtype, device=g.device).index_add(0, places, g).reshape(shape), None


def _transposed_inverse(x: Tensor) -> Tensor:
    return inv(x).mT


@derivative("inv", "inv_ex")
def _inv(step: Step, g: Tensor) -> Gradients:
    y = step.result.mT
    return (-matmul(matmul(y, g), y),)


@derivative("det")
def _det(step: Step, g: Tensor) -> Gradients:
    return ((g * step.result).unsqueeze(-1).unsqueeze(-1) * _transposed_inverse(step[0]),)


@derivative("logdet")
def _logdet(step: Step, g: Tensor) -> Gradients:
    return (g.unsqueeze(-1).unsqueeze(-1) * _transposed_inverse(step[0]),)


@derivative("slogdet")
def _slogdet(step: Step, g: Tensor) -> Gradients:
    of_logarithm = step.gradients.get(1)
    if of_logarithm is None:
        return (g.unsqueeze(-1).unsqueeze(-1) * 0.0,)
    return (of_logarithm.unsqueeze(-1).unsqueeze(-1) * _transposed_inverse(step[0]),)


@derivative("linalg_cholesky", "cholesky", "cholesky_ex")
def _cholesky(step: Step, g: Tensor) -> Gradients:
    """Of A = L L.mT: L^-T, half of the triangle of L.mT G below it, L^-1, made symmetric."""
    lower = step.result
    if step.params["upper"]:
        lower, g = lower.mT, g.mT
    product = matmul(lower.mT, g.tril())
    inner = product.tril() - product * _diagonal(product) * 0.5
    half = solve_triangular(lower.mT, inner, upper=True)
    whole = solve_triangular(lower.mT, half.mT, upper=True).mT
    return ((whole + whole.mT) * 0.5,)


def _diagonal(x: Tensor) -> Tensor:
    count = x.shape[-1]
    ones = x.new_ones(count, count)
    return where(ones.tril().mul(ones.triu()).gt(0), 1.0, 0.0)


@derivative("solve", "solve_ex")
def _solve(step: Step, g: Tensor) -> Gradients:
    is_vector = len(step.shape(1)) == 1 or (
        len(step.shape(0)) - 1 == len(step.shape(1)) and step.shape(1) == step.shape(0)[:-1]
    )
    result = step.result
    if is_vector:
        g, result = g.unsqueeze(-1), result.unsqueeze(-1)
    backwards = _transposed_inverse(step[0])
    if is_vector or step.params["left"]:
        second = matmul(backwards, g)
        first = -matmul(second, result.mT) if step.needs(0) else None
    else:
        second = matmul(g, backwards)
        first = -matmul(result.mT, second) if step.needs(0) else None
    return first, second.squeeze(-1) if is_vector else second


_LAPACK = "LAPACK works it out on the host, and its derivative is not written yet"

without(
    "cholesky_solve cholesky_inverse linalg_qr qr householder_product lu_factor lu_factor_ex linalg_lu lu "
    "linalg_lu_solve lu_solve lu_unpack lstsq tensorinv tensorsolve matrix_exp eigh eigvalsh eig eigvals linalg_svd "
    "svd svdvals pinv cond",
    _LAPACK,
)
without("ctc_loss", "the host sums over all alignments, and the sums that go backwards are not written yet")

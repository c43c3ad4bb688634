"""What rows with two results return; PyTorch's are named tuples, too."""

from __future__ import annotations

from typing import NamedTuple

from ggml.tensors.tensor import Tensor


class ValuesAndIndices(NamedTuple):
    """Elements, and the int64 places along ``dim`` that they came from."""

    values: Tensor
    indices: Tensor


class Histogram(NamedTuple):
    """How much lies between neighbouring edges."""

    hist: Tensor
    bin_edges: Tensor


class SignAndLogabsdet(NamedTuple):
    """A determinant's sign, and the logarithm of its absolute value."""

    sign: Tensor
    logabsdet: Tensor


class InverseEx(NamedTuple):
    """Inverses, and an int32 that is not 0 where there is none."""

    inverse: Tensor
    info: Tensor


class SolveEx(NamedTuple):
    """Solutions, and an int32 that is not 0 where there is none."""

    result: Tensor
    info: Tensor


class LeastSquares(NamedTuple):
    """Solutions of least squares, and what is known of the systems."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


class Eigen(NamedTuple):
    """Eigenvalues, and the vectors as columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class SingularValueDecomposition(NamedTuple):
    """Singular values between the vectors of both sides."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class OldSingularValueDecomposition(NamedTuple):
    """As ``torch.svd`` gives it: V, not its transpose."""

    U: Tensor
    S: Tensor
    V: Tensor


class QRFactors(NamedTuple):
    """Orthonormal columns, and an upper triangle."""

    Q: Tensor
    R: Tensor


class CholeskyEx(NamedTuple):
    """Cholesky factors, and an int32 that is not 0 where there is none."""

    L: Tensor
    info: Tensor


class LUFactors(NamedTuple):
    """Both triangles in one tensor, and the rows that were swapped, from 1."""

    LU: Tensor
    pivots: Tensor


class LUFactorsEx(NamedTuple):
    """As ``LUFactors``, and where a pivot is 0."""

    LU: Tensor
    pivots: Tensor
    info: Tensor


class PermutedTriangles(NamedTuple):
    """A permutation, a lower and an upper triangle."""

    P: Tensor
    L: Tensor
    U: Tensor


class MinAndMax(NamedTuple):
    """The smallest and the largest elements."""

    min: Tensor
    max: Tensor


class TriangularSolution(NamedTuple):
    """What ``torch.triangular_solve`` returns."""

    solution: Tensor
    cloned_coefficient: Tensor

"""What rows with two results return; PyTorch's are named tuples, too."""

from __future__ import annotations

from typing import NamedTuple

from ggml.tensor import Tensor


class ValuesAndIndices(NamedTuple):
    """Elements, and the int64 places along ``dim`` that they came from."""

    values: Tensor
    indices: Tensor


class Histogram(NamedTuple):
    """How much lies between neighbouring edges."""

    hist: Tensor
    bin_edges: Tensor


class MinAndMax(NamedTuple):
    """The smallest and the largest elements."""

    min: Tensor
    max: Tensor

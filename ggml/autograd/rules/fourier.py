"""Fourier transforms: the transpose of one is another, in the other direction."""

from __future__ import annotations

import numpy as np

from ggml.autograd.derivative import Gradients, Step, derivative
from ggml.core import dtypes
from ggml.ops.create.factories import put, zeros
from ggml.ops.shape.concatenation import cat
from ggml.ops.signal.transforms import dft, real_dft
from ggml.tensors.tensor import Tensor


@derivative("dft")
def _dft(step: Step, g: Tensor) -> Gradients:
    _, is_inverse, scale, at = step.params
    rows = g.movedim(at, -2)
    return (dft(rows, not is_inverse, scale, rows.ndim - 2),)


@derivative("real_dft")
def _real_dft(step: Step, g: Tensor) -> Gradients:
    """Half a spectrum with zeros for the other half, brought back: its real part."""
    n, _, scale, at = step.params
    rows = g.movedim(at, -2)
    missing = n - rows.shape[-2]
    if missing:
        empty = zeros((*rows.shape[:-2], missing, 2), dtype=g.dtype, device=g.device)
        rows = cat([rows, empty], -2)
    return (dft(rows, True, scale, rows.ndim - 2)[..., 0],)


@derivative("inverse_real_dft")
def _inverse_real_dft(step: Step, g: Tensor) -> Gradients:
    """Each element of half a spectrum stands for two of the whole, but for its ends."""
    n, _, scale, at = step.params
    rows = g.movedim(at, -1)
    spectrum = real_dft(rows, scale, rows.ndim - 1)
    count = n // 2 + 1
    weights = np.full((count, 1), 2.0, np.float32)
    weights[0] = 1.0
    if n % 2 == 0:
        weights[-1] = 1.0
    found = spectrum * put(weights, dtypes.float32, g.device)
    return (found,)

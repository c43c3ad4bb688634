"""Between tensors, and the flat arrays that travel."""

from __future__ import annotations

import numpy as np

import ggml
from cluster.train.collectives import Array


def flat_of(tensor: ggml.Tensor) -> Array:
    """A copy of its elements: [N], in f32 where they are of less."""
    is_small = tensor.dtype in (ggml.float16, ggml.bfloat16)
    with ggml.no_grad():
        return np.array((tensor.detach().float() if is_small else tensor.detach()).numpy()).reshape(-1)


def put(tensor: ggml.Tensor, array: Array) -> None:
    """The elements of `array` ([N]) in the place of those of `tensor`, which keeps its dtype and device."""
    with ggml.no_grad():
        tensor.copy_(ggml.from_numpy(array.reshape(tuple(tensor.shape))))

"""Clipping gradients of which each rank has a part."""

from __future__ import annotations

from typing import Any

import numpy as np

import ggml
from cluster.api.errors import UsageError
from cluster.train.arrays import flat_of
from cluster.train.default_group import reduce_array, the_group
from cluster.train.sharded_parameter import ShardedParameter


def clip_grad_norm_(parameters: Any, max_norm: float, norm_type: float = 2.0) -> ggml.Tensor:
    """As `nn.utils.clip_grad_norm_`, over parameters of which some are shared out: the norm is that of the whole.

    `norm_type` is 2: UsageError for another. Returns the norm, a tensor without axes. Every rank calls it.
    """
    if norm_type != 2:
        raise UsageError(f"clip_grad_norm_: norm_type {norm_type} cannot be had over ranks; take 2")
    listed = [parameters] if isinstance(parameters, ggml.Tensor) else list(parameters)
    grown = [(one, one.grad) for one in listed if one.grad is not None]
    sums = np.zeros(2, np.float32)  # of squares: of parts, and of what every rank has whole
    for one, gradient in grown:
        flat = flat_of(gradient)
        sums[0 if isinstance(one, ShardedParameter) else 1] += flat @ flat
    parts = sums[:1].copy()
    reduce_array(the_group("clip_grad_norm_"), parts)
    norm = float(np.sqrt(parts[0] + sums[1]))
    scale = max_norm / (norm + 1e-6)
    if scale < 1:
        for one, gradient in grown:
            one.grad = gradient * scale
    return ggml.tensor(norm)

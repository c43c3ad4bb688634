"""Clipping gradients of which each rank has a part."""

from __future__ import annotations

from typing import Any

import numpy as np

import ggml
from cluster.api.errors import UsageError
from cluster.train import collectives
from cluster.train.arrays import flat_of
from cluster.train.process_group import ProcessGroup
from cluster.train.sharded_parameter import ShardedParameter


def clip_grad_norm_(parameters: Any, max_norm: float, norm_type: float = 2.0) -> ggml.Tensor:
    """As `nn.utils.clip_grad_norm_`, over parameters of which some are shared out: the norm is that of the whole.

    `norm_type` is 2: UsageError for another. Returns the norm, a tensor without axes. Every rank calls it.
    """
    if norm_type != 2:
        raise UsageError(f"clip_grad_norm_: norm_type {norm_type} cannot be had over ranks; take 2")
    listed = [parameters] if isinstance(parameters, ggml.Tensor) else list(parameters)
    grown = [(one, one.grad) for one in listed if one.grad is not None]
    whole = np.zeros(1, np.float32)  # sums of squares: of what every rank has whole, and of parts by their group
    parts: dict[ProcessGroup, np.ndarray[Any, Any]] = {}
    for one, gradient in grown:
        flat = flat_of(gradient)
        of = parts.setdefault(one.group, np.zeros(1, np.float32)) if isinstance(one, ShardedParameter) else whole
        of += flat @ flat
    for group, squares in parts.items():
        if group.world_size > 1:
            collectives.all_reduce(group, squares)
    norm = float(np.sqrt(sum(parts.values(), whole)[0]))
    scale = max_norm / (norm + 1e-6)
    if scale < 1:
        for one, gradient in grown:
            one.grad = gradient * scale
    return ggml.tensor(norm)

"""DistributedDataParallel: every rank has the whole model and its own part of each batch; gradients are averaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import ggml
from cluster.api.errors import UsageError
from cluster.train.collectives import Array
from cluster.train.default_group import broadcast, reduce_array, the_group
from ggml import nn
from ggml.autograd import queue_callback

# Bytes of gradients that travel at once, as in torch.distributed. By reasoning: large enough that messages cost little.
BUCKET_BYTES = 25 << 20


class DistributedDataParallel(nn.Module):
    """Wraps ``module``. Its parameters and buffers become those of rank 0; each ``backward`` then averages the
    gradients over all ranks, so that equal optimisers take equal steps.

    A backward is one native graph, so gradients travel when it is done. A parameter that got no gradient on a rank
    counts as zero there, if it got one on any.
    """

    def __init__(self, module: nn.Module) -> None:
        """UsageError without a group, or if nothing in ``module`` requires a gradient."""
        super().__init__()
        the_group("DistributedDataParallel")
        self.module = module
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        if not trained:
            raise UsageError("DistributedDataParallel: the module has no parameter that requires a gradient")
        for tensor in (*module.parameters(), *module.buffers()):
            broadcast(tensor)
        self._trained = trained
        self._syncs, self._is_due = True, False
        for parameter in trained:
            parameter.register_post_accumulate_grad_hook(self._grown)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """That of the module."""
        return self.module(*args, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Gradients are accumulated on each rank; the first ``backward`` after it averages what has come together."""
        before, self._syncs = self._syncs, False
        try:
            yield
        finally:
            self._syncs = before

    def _grown(self, parameter: ggml.Tensor) -> None:
        if self._syncs and not self._is_due:
            self._is_due = True
            queue_callback(self._average)

    def _average(self) -> None:
        self._is_due = False
        group = the_group("DistributedDataParallel")
        if group.world_size == 1:
            return
        for bucket in _buckets(self._trained):
            flat = _gathered(bucket)
            reduce_array(group, flat)
            _spread(bucket, flat, group.world_size)


def _buckets(parameters: list[Any]) -> Iterator[list[Any]]:
    bucket: list[Any] = []
    num_bytes = 0
    for parameter in parameters:
        bucket.append(parameter)
        num_bytes += 4 * parameter.numel()
        if num_bytes >= BUCKET_BYTES:
            yield bucket
            bucket, num_bytes = [], 0
    if bucket:
        yield bucket


def _gathered(bucket: list[Any]) -> Array:
    """The gradients one behind the other, in f32, and behind them how many there are of each parameter: 1 or 0.

    In one array: each that travels costs its messages.
    """
    has = np.array([parameter.grad is not None for parameter in bucket], np.float32)
    flat = [
        np.zeros(parameter.numel(), np.float32)
        if parameter.grad is None
        else parameter.grad.detach().float().numpy().reshape(-1)
        for parameter in bucket
    ]
    return np.concatenate([*flat, has])


def _spread(bucket: list[Any], flat: Array, world_size: int) -> None:
    """What is the sum of all ranks' now, averaged; a parameter of which no rank had one stays without."""
    has = flat[len(flat) - len(bucket) :] > 0
    flat /= np.float32(world_size)
    begin = 0
    for parameter, is_there in zip(bucket, has, strict=True):
        end = begin + parameter.numel()
        if is_there:
            average = np.ascontiguousarray(flat[begin:end]).reshape(tuple(parameter.shape))
            parameter.grad = ggml.from_numpy(average).to(parameter.dtype).to(parameter.device)
        begin = end

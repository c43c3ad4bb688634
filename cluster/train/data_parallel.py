"""DistributedDataParallel: every rank has the whole model and its own part of each batch; gradients are averaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ggml
from cluster.api.errors import UsageError
from cluster.train.averaging import Averaging
from cluster.train.default_group import the_group
from cluster.train.gradient_bucket import buckets_of
from cluster.train.tensor_collectives import broadcast
from ggml import nn
from ggml.autograd.engine import queue_callback, see_early
from ggml.core import tracing


class DistributedDataParallel(nn.Module):
    """Wraps ``module``. Its parameters and buffers become those of the first rank; each ``backward`` then averages the
    gradients over all ranks, so that equal optimisers take equal steps. So does each step of ``ggml.compile_step``.

    Between machines gradients of the last layers travel while those of the first are computed. A parameter that got no
    gradient on a rank counts as zero there, if it got one on any.
    """

    def __init__(
        self,
        module: nn.Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        *,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
    ) -> None:
        """``process_group``: None for all ranks. ``broadcast_buffers``: before each forward in training, those of the
        first rank are given to all. Other arguments are PyTorch's and have no effect.

        UsageError without a group, or if nothing in ``module`` requires a gradient.
        """
        super().__init__()
        self._group = the_group("DistributedDataParallel", process_group)
        self.module = module
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        if not trained:
            raise UsageError("DistributedDataParallel: the module has no parameter that requires a gradient")
        for tensor in (*module.parameters(), *module.buffers()):
            broadcast(tensor, self._group.ranks[0], self._group)
        self.broadcast_buffers = broadcast_buffers
        self._buckets = buckets_of(trained)
        self._syncs = True
        self._averaging: Averaging | None = None
        self._hooks = {
            id(parameter): parameter.register_post_accumulate_grad_hook(self._grown)
            for parameter in trained
        }  # fmt: skip

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """That of the module."""
        if self.training and self._syncs and self.broadcast_buffers and not tracing.is_active():
            for buffer in self.module.buffers():
                broadcast(buffer, self._group.ranks[0], self._group)
        return self.module(*args, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Gradients are accumulated on each rank; the first ``backward`` after it averages what has come together."""
        before, self._syncs = self._syncs, False
        try:
            yield
        finally:
            self._syncs = before

    def begin_reduction(self) -> Averaging | None:
        """For a step that is one graph: it puts its gradients there. None where there is no other rank.

        UsageError within `no_sync`: such a step keeps no gradients.
        """
        the_group("DistributedDataParallel", self._group)
        if not self._syncs:
            raise UsageError("no_sync: a compiled step keeps no gradients that could add up; use the plain loop")
        return None if self._group.world_size == 1 else Averaging(self._group, self._buckets)

    def _grown(self, parameter: ggml.Tensor) -> None:
        if not self._syncs or self._group.world_size == 1:
            return
        if self._averaging is None:
            the_group("DistributedDataParallel", self._group)
            self._averaging = Averaging(self._group, self._buckets)
            queue_callback(self._finish, self._abandon)
        averaging, gradient = self._averaging, parameter.grad
        # Another hook behind ours may change it, and what is no f32 is converted first.
        if (
            averaging.is_early
            and gradient is not None
            and gradient.dtype is ggml.float32
            and self._hooks[id(parameter)].is_last
        ):
            see_early(gradient, lambda raw: averaging.put(parameter, raw))

    def _finish(self) -> None:
        averaging = self._averaging
        assert averaging is not None, "a hook has made it"
        grown = [(one, one.grad) for bucket in self._buckets for one in bucket.parameters]
        ggml.eval(*[gradient for _, gradient in grown if gradient is not None])
        for parameter, gradient in grown:
            averaging.offer(parameter, gradient)
        for parameter, average in averaging.finish():
            if average is not None:
                parameter.grad = average
        self._averaging = None

    def _abandon(self) -> None:
        if self._averaging is not None:
            self._averaging.abandon()
        self._averaging = None

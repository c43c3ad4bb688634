"""Averages of weights over steps, as ``torch.optim.swa_utils``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from ggml.core.errors import ArgumentError, DTypeError
from ggml.core.grad_mode import no_grad
from ggml.nn.module.module import Module
from ggml.nn.parameter import point_to
from ggml.ops.create.factories import tensor
from ggml.tensors import eval as evaluation
from ggml.tensors.tensor import Tensor

__all__ = ["AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn"]

#: (averaged, current, number of averages so far) -> the new average.
AvgFn = Callable[[Tensor, Tensor, Any], Tensor]
#: (all averaged, all current, number so far): changes the averaged ones in place.
MultiAvgFn = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


def _checked(decay: float) -> float:
    if not 0 <= decay <= 1:
        raise ArgumentError("get_ema_multi_avg_fn", "decay", f"must lie in [0, 1]: {decay}")
    return float(decay)


def get_ema_avg_fn(decay: float = 0.999) -> AvgFn:
    """``decay * averaged + (1 - decay) * current``, for one tensor."""
    share = _checked(decay)

    def ema(averaged: Tensor, current: Tensor, num_averaged: Any) -> Tensor:
        new: Tensor = averaged * share + current * (1 - share)
        return new

    return ema


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAvgFn:
    """The running mean in which each step counts ``decay`` times as much as the next, for all tensors in one graph."""
    share = 1 - _checked(decay)

    def ema(averaged: Sequence[Tensor], current: Sequence[Tensor], num_averaged: Any) -> None:
        for old, new in zip(averaged, current, strict=True):
            if old.is_floating_point():
                old.copy_(old + (new - old) * share)
            else:
                old.copy_(new)

    return ema


def get_swa_avg_fn() -> AvgFn:
    """The plain mean of all steps, for one tensor."""

    def swa(averaged: Tensor, current: Tensor, num_averaged: Any) -> Tensor:
        # The count is a tensor, so that each step has the same graph.
        new: Tensor = averaged + (current - averaged) / (num_averaged + 1)
        return new

    return swa


def get_swa_multi_avg_fn() -> MultiAvgFn:
    """The plain mean of all steps, for all tensors in one graph."""
    one_by_one = get_swa_avg_fn()

    def swa(averaged: Sequence[Tensor], current: Sequence[Tensor], num_averaged: Any) -> None:
        for old, new in zip(averaged, current, strict=True):
            old.copy_(one_by_one(old, new, num_averaged) if old.is_floating_point() else new)

    return swa


class AveragedModel(Module):
    """A copy of ``model``, the parameters of which are averages of the model's at each ``update_parameters``.

    By default the plain mean (SWA); ``multi_avg_fn=get_ema_multi_avg_fn(0.999)`` makes it an exponential one. The first
    update copies. With ``use_buffers`` buffers are averaged, too; else each update copies them. ``device`` moves the
    copy. ``n_averaged`` is a part of the state dict.
    """

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: AvgFn | None = None,
        multi_avg_fn: MultiAvgFn | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(model, Module):
            raise DTypeError("AveragedModel", "a module", type(model).__name__)
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError("AveragedModel", "avg_fn and multi_avg_fn", "are two: give only one of them")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0))
        self.avg_fn, self.use_buffers = avg_fn, bool(use_buffers)
        self.multi_avg_fn = get_swa_multi_avg_fn() if avg_fn is None and multi_avg_fn is None else multi_avg_fn

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged copy makes of it."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the model's parameters into the averages. ArgumentError where it has others."""
        own, given = list(self.module.parameters()), list(model.parameters())
        own_buffers, given_buffers = list(self.module.buffers()), list(model.buffers())
        shapes = [[tuple(one.shape) for one in listed] for listed in (own, given, own_buffers, given_buffers)]
        if shapes[0] != shapes[1] or shapes[2] != shapes[3]:
            raise ArgumentError("AveragedModel.update_parameters", "model", "has other tensors than the averaged copy")
        averaged: list[Tensor] = list(own)
        current = [one.detach() for one in given]
        copied = list(zip(own_buffers, given_buffers, strict=True))
        if self.use_buffers:
            averaged, current, copied = (
                [*averaged, *own_buffers],
                [*current, *[one.detach() for one in given_buffers]],
                [],
            )
        with no_grad():
            current = [new.to(old.device) for old, new in zip(averaged, current, strict=True)]
            if int(self.n_averaged) == 0:
                for old, new in zip(averaged, current, strict=True):
                    old.copy_(new)
            elif self.multi_avg_fn is not None:
                self.multi_avg_fn(averaged, current, self.n_averaged.to(averaged[0].device) if averaged else 0)
            else:
                assert self.avg_fn is not None
                for old, new in zip(averaged, current, strict=True):
                    old.copy_(self.avg_fn(old, new, self.n_averaged.to(old.device)))
            for buffer, new in copied:
                buffer.copy_(new.detach().to(buffer.device))
            point_to(self.n_averaged, self.n_averaged.detach() + 1)
            evaluation.eval([*averaged, *[buffer for buffer, _ in copied], self.n_averaged])

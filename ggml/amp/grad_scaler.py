"""Losses scaled up, so that gradients of 16 bits do not vanish; steps whose gradients overflow are skipped."""

from __future__ import annotations

import enum
import math
from typing import Any

import numpy as np

from ggml.core.dtypes import float32
from ggml.core.errors import ArgumentError, DTypeError, GradientError, StateDictError
from ggml.core.grad_mode import no_grad
from ggml.ops.shape.concatenation import stack
from ggml.optim.optimizer import Optimizer
from ggml.tensors import eval as evaluation
from ggml.tensors.tensor import Tensor, filled

__all__ = ["GradScaler"]


class _Stage(enum.Enum):
    """How far an optimiser is between two calls of ``update``."""

    READY = enum.auto()
    UNSCALED = enum.auto()
    STEPPED = enum.auto()


class GradScaler:
    """``scaler.scale(loss).backward(); scaler.step(optimizer); scaler.update()``.

    ``step`` divides the gradients by the scale, and skips the optimiser's step where one of them is not finite.
    ``update`` then multiplies the scale by ``backoff_factor``, and by ``growth_factor`` after ``growth_interval`` good
    steps in a row. ``unscale_`` before ``step`` lets gradients be clipped. With ``enabled=False`` it does nothing.
    ``device`` has no effect: the scale goes where the loss is.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._enabled = bool(enabled)
        self._scale = _checked_scale("GradScaler", init_scale)
        self._growth_tracker = 0
        self.set_growth_factor(growth_factor)
        self.set_backoff_factor(backoff_factor)
        self.set_growth_interval(growth_interval)
        self._stages: dict[int, tuple[Optimizer, _Stage, bool]] = {}  # with whether all was finite

    def is_enabled(self) -> bool:
        return self._enabled

    def get_scale(self) -> float:
        """The scale now; 1 if it is not enabled."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        if not 1 < new_factor < math.inf:
            raise ArgumentError("GradScaler", "growth_factor", f"must be above 1 and finite: {new_factor}")
        self._growth_factor = float(new_factor)

    def get_backoff_factor(self) -> float:
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        if not 0 < new_factor < 1:
            raise ArgumentError("GradScaler", "backoff_factor", f"must lie between 0 and 1: {new_factor}")
        self._backoff_factor = float(new_factor)

    def get_growth_interval(self) -> int:
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        if isinstance(new_interval, bool) or not isinstance(new_interval, int) or new_interval < 1:
            raise ArgumentError("GradScaler", "growth_interval", f"must be an integer from 1 on: {new_interval!r}")
        self._growth_interval = new_interval

    def scale(self, outputs: Any) -> Any:
        """The loss times the scale, in its dtype's promotion with float32; several losses in a list or tuple."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * filled((), self._scale, float32, outputs.device)
        if isinstance(outputs, (list, tuple)):
            return type(outputs)([self.scale(one) for one in outputs])
        raise DTypeError("scale", "a tensor, or a list or tuple of them", type(outputs).__name__)

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of this optimiser's parameters by the scale now; ``step`` does not do it again.

        GradientError if that was done since the last ``update``, or a gradient has 16 bits: parameters are float32.
        """
        if not self._enabled:
            return
        stage = self._stage("unscale_", optimizer)
        if stage is not _Stage.READY:
            done = "step() was called" if stage is _Stage.STEPPED else "they were divided"
            raise GradientError("unscale_", f"{done} for this optimizer since the last update()")
        params = [one for group in optimizer.param_groups for one in group["params"] if one.grad is not None]
        if not params:
            raise GradientError("unscale_", "no parameter of the optimizer has a gradient: call backward() first")
        for param in params:
            if param.grad.dtype is not float32:
                raise GradientError("unscale_", f"a gradient is {param.grad.dtype}: parameters have to be float32")
        with no_grad():
            sums = []
            for param in params:
                # The factor is a tensor: a number would make each scale a graph of its own.
                gradient = param.grad.detach() * filled((), 1 / self._scale, float32, param.device)
                param.grad = gradient
                # 0 times what is not finite is NaN.
                sums.append((gradient * 0.0).sum().to(params[0].device))
            total = stack(sums).sum()
            evaluation.eval([*[param.grad for param in params], total])
        self._stages[id(optimizer)] = optimizer, _Stage.UNSCALED, not math.isnan(total.item())

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step(*args, **kwargs)`` with gradients without the scale, where all are finite; else nothing.

        Returns what that returns, or None. GradientError for a second call since the last ``update``. A closure cannot
        be given.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs or args:
            raise ArgumentError("GradScaler.step", "closure", "cannot be given: it would compute unscaled gradients")
        stage = self._stage("step", optimizer)
        if stage is _Stage.STEPPED:
            raise GradientError("step", "was called for this optimizer since the last update()")
        if stage is _Stage.READY:
            self.unscale_(optimizer)
        is_finite = self._stages[id(optimizer)][2]
        result = optimizer.step(**kwargs) if is_finite else None
        self._stages[id(optimizer)] = optimizer, _Stage.STEPPED, is_finite
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Make the scale smaller or larger after the steps of all optimisers, or set it."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = _checked_scale("update", float(new_scale))
        elif not self._stages:
            raise GradientError("update", "no gradients were looked at since the last one: call step() first")
        elif not all(is_finite for _, _, is_finite in self._stages.values()):
            self._scale = float(np.float32(self._scale) * np.float32(self._backoff_factor))
            self._growth_tracker = 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                grown = self._scale * self._growth_factor
                # At the end of float32 it grows no more.
                self._scale = float(np.float32(grown)) if grown <= float(np.finfo(np.float32).max) else self._scale
                self._growth_tracker = 0
        self._stages = {}

    def state_dict(self) -> dict[str, Any]:
        """The scale, its factors and the count, with PyTorch's names; empty if it is not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there. StateDictError where something is missing, as all is where it was not enabled."""
        if not self._enabled:
            return
        missing = [name for name in self.state_dict() if name not in state_dict]
        if missing:
            raise StateDictError("GradScaler", missing, [], [], True)
        scale = _checked_scale("load_state_dict", state_dict["scale"])
        self.set_growth_factor(state_dict["growth_factor"])
        self.set_backoff_factor(state_dict["backoff_factor"])
        self.set_growth_interval(state_dict["growth_interval"])
        self._scale, self._growth_tracker = scale, int(state_dict["_growth_tracker"])

    def _stage(self, op: str, optimizer: Any) -> _Stage:
        if not isinstance(optimizer, Optimizer):
            raise DTypeError(op, "an optimizer", type(optimizer).__name__)
        found = self._stages.get(id(optimizer))
        return _Stage.READY if found is None else found[1]


def _checked_scale(op: str, scale: float) -> float:
    if not 0 < scale < math.inf:
        raise ArgumentError(op, "scale", f"must be finite and above 0: {scale}")
    return float(np.float32(scale))

"""Cycles of the rate: up and down, while the momentum goes the other way."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ggml.core.errors import ArgumentError
from ggml.optim.lr_scheduler.base import LRScheduler
from ggml.optim.optimizer import Group, Optimizer


class OneCycleLR(LRScheduler):
    """From ``max_lr / div_factor`` to ``max_lr`` over ``pct_start`` of the steps, then down to far below the start."""

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ArgumentError("OneCycleLR", "total_steps", "is needed, or epochs and steps_per_epoch")
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError("OneCycleLR", "anneal_strategy", f"must be 'cos' or 'linear', not {anneal_strategy!r}")
        self.total_steps = total_steps if total_steps is not None else (epochs or 0) * (steps_per_epoch or 0)
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        rise, last = float(pct_start * self.total_steps) - 1, self.total_steps - 1
        self._phases: list[tuple[float, str, str, str, str]] = [
            (rise, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        ]
        if three_phase:
            self._phases.append((2 * rise, "max_lr", "initial_lr", "base_momentum", "max_momentum"))
            self._phases.append((last, "initial_lr", "min_lr", "max_momentum", "max_momentum"))
        else:
            self._phases.append((last, "max_lr", "min_lr", "base_momentum", "max_momentum"))
        rates = list(max_lr) if isinstance(max_lr, (list, tuple)) else [max_lr] * len(optimizer.param_groups)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            if last_epoch == -1:
                group["initial_lr"] = group["lr"] = rate / div_factor
                group["max_lr"], group["min_lr"] = rate, rate / div_factor / final_div_factor
                if cycle_momentum:
                    group["max_momentum"], group["base_momentum"] = max_momentum, base_momentum
                    _set_momentum("OneCycleLR", group, max_momentum)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch >= self.total_steps:
            raise ArgumentError("OneCycleLR", "step", f"goes beyond the {self.total_steps} steps of the cycle")
        rates = []
        for group in self.optimizer.param_groups:
            begin = 0.0
            for end, first, last, heavy, light in self._phases:
                if self.last_epoch <= end or end == self._phases[-1][0]:
                    share = (self.last_epoch - begin) / (end - begin)
                    rates.append(self._between(group[first], group[last], share))
                    if self.cycle_momentum:
                        _set_momentum("OneCycleLR", group, self._between(group[heavy], group[light], share))
                    break
                begin = end
        return rates

    def _between(self, first: float, last: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return first + (last - first) * share
        return last + (first - last) / 2 * (math.cos(math.pi * share) + 1)


class CyclicLR(LRScheduler):
    """From ``base_lr`` to ``max_lr`` in ``step_size_up`` steps and back in ``step_size_down``, again and again.

    ``mode``: "triangular"; "triangular2", where each cycle is half as high as the one before; "exp_range", where it is
    ``gamma`` times as high with each step; or ``scale_fn`` says how high, of the cycle from 1 on or of the step, as
    ``scale_mode`` ("cycle", "iterations") says.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ArgumentError("CyclicLR", "mode", f"must be triangular, triangular2 or exp_range: {mode!r}")
        count = len(optimizer.param_groups)
        lows, self.max_lrs = _of_groups(base_lr, count), _of_groups(max_lr, count)
        self.total_size = float(step_size_up + (step_size_up if step_size_down is None else step_size_down))
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self.cycle_momentum = mode, gamma, cycle_momentum
        self.scale_mode = scale_mode if scale_fn is not None else "iterations" if mode == "exp_range" else "cycle"
        self._scale_fn = scale_fn
        self.base_momentums = _of_groups(base_momentum, count)
        self.max_momentums = _of_groups(max_momentum, count)
        if last_epoch == -1:
            for group, low, heavy in zip(optimizer.param_groups, lows, self.max_momentums, strict=True):
                group["lr"] = low
                if cycle_momentum:
                    _set_momentum("CyclicLR", group, heavy)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lows

    def scale_fn(self, at: float) -> float:
        """How high a cycle, or a step, goes: a share of the whole way."""
        if self._scale_fn is not None:
            return self._scale_fn(at)
        scales: dict[str, float] = {"triangular": 1, "triangular2": 0.5 ** (at - 1), "exp_range": self.gamma**at}
        return scales[self.mode]

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        at = 1.0 + self.last_epoch / self.total_size - cycle
        share = at / self.step_ratio if at <= self.step_ratio else (at - 1) / (self.step_ratio - 1)
        share *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            momentums = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
            for group, light, heavy in momentums:
                _set_momentum("CyclicLR", group, heavy - (heavy - light) * share)
        return [low + (high - low) * share for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser and ``scale_fn``: whoever loads it has given them."""
        return {name: value for name, value in super().state_dict().items() if name != "_scale_fn"}


def _of_groups(value: float | list[float], count: int) -> list[float]:
    found = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(found) != count:
        raise ArgumentError("CyclicLR", "a list", f"has {len(found)} numbers for {count} groups")
    return found


def _set_momentum(what: str, group: Group, value: Any) -> None:
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    elif "momentum" in group:
        group["momentum"] = value
    else:
        raise ArgumentError(what, "cycle_momentum", "needs an optimizer with momentum or betas")

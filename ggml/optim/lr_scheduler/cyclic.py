"""One cycle of the rate: up, and down below where it began, while the momentum goes the other way."""

from __future__ import annotations

import math
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
                    _set_momentum(group, max_momentum)
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
                        _set_momentum(group, self._between(group[heavy], group[light], share))
                    break
                begin = end
        return rates

    def _between(self, first: float, last: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return first + (last - first) * share
        return last + (first - last) / 2 * (math.cos(math.pi * share) + 1)


def _set_momentum(group: Group, value: Any) -> None:
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    elif "momentum" in group:
        group["momentum"] = value
    else:
        raise ArgumentError("OneCycleLR", "cycle_momentum", "needs an optimizer with momentum or betas")

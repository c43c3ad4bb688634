"""Several schedules, one after the other or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ggml.core.errors import ArgumentError
from ggml.optim.lr_scheduler.base import LRScheduler
from ggml.optim.lr_scheduler.plateau import ReduceLROnPlateau
from ggml.optim.optimizer import Optimizer


class _Several(LRScheduler):
    """What they share: the states of all schedules in one."""

    _schedulers: list[LRScheduler]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser, with the states of all schedules."""
        kept = {name: value for name, value in vars(self).items() if name not in ("optimizer", "_schedulers")}
        return {**kept, "_schedulers": [one.state_dict() for one in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        vars(self).update({name: value for name, value in state_dict.items() if name != "_schedulers"})
        for one, kept in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            one.load_state_dict(kept)


class SequentialLR(_Several):
    """Schedule ``i`` holds from milestone ``i - 1`` to milestone ``i``; each counts from its own beginning."""

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        if len(milestones) != len(schedulers) - 1:
            raise ArgumentError("SequentialLR", "milestones", f"must be one fewer than the {len(schedulers)} schedules")
        if any(one.optimizer is not optimizer for one in schedulers):
            raise ArgumentError("SequentialLR", "schedulers", "must all be of this optimizer")
        self.optimizer, self.last_epoch = optimizer, last_epoch + 1
        self._schedulers, self._milestones = list(schedulers), list(milestones)
        # Each schedule has set the rate when it was made: the first one begins anew, from the first rate.
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        for one in self._schedulers:
            one.last_epoch -= 1
        self._schedulers[0]._begin()
        self._last_lr = self._schedulers[0].get_last_lr()

    def step(self, epoch: int | None = None) -> None:
        """Go on by one."""
        self.last_epoch += 1
        place = bisect_right(self._milestones, self.last_epoch)
        current = self._schedulers[place]
        if place and self._milestones[place - 1] == self.last_epoch:
            current.step(0)
        else:
            current.step()
        self._last_lr = current.get_last_lr()


class ChainedScheduler(_Several):
    """All schedules at each step, in their order: each changes the rate that the one before it left."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        if not schedulers or any(isinstance(one, ReduceLROnPlateau) for one in schedulers):
            raise ArgumentError(
                "ChainedScheduler", "schedulers", "must be at least one, and none that goes by a metric"
            )
        self.optimizer = optimizer or schedulers[0].optimizer
        if any(one.optimizer is not self.optimizer for one in schedulers):
            raise ArgumentError("ChainedScheduler", "schedulers", "must all be of this optimizer")
        self._schedulers = list(schedulers)
        self._last_lr = self._rates

    def step(self, epoch: int | None = None) -> None:
        """Go on by one."""
        for one in self._schedulers:
            one.step()
        self._last_lr = self._rates

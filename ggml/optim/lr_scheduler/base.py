"""What schedules share: they count steps, and set the rate of each group to what ``get_lr`` says."""

from __future__ import annotations

from typing import Any

from ggml.core.errors import ArgumentError, DTypeError
from ggml.optim.optimizer import Optimizer


class LRScheduler:
    """Call ``step`` after the optimiser's, once for each epoch or batch. ``last_epoch`` counts from 0."""

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise DTypeError(type(self).__name__, "an optimizer", type(optimizer).__name__)
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])  # another schedule may have set it before
            elif "initial_lr" not in group:
                raise ArgumentError(type(self).__name__, "last_epoch", "needs initial_lr in every group of parameters")
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._is_first = False
        self._begin()

    def _begin(self) -> None:
        self._is_first = True
        self.step()
        self._is_first = False

    @property
    def _rates(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def get_lr(self) -> list[float]:
        """The rate of each group at ``last_epoch``, from those that the groups have now."""
        raise NotImplementedError

    def get_last_lr(self) -> list[float]:
        """The rates that the last ``step`` set."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Go on by one, or to ``epoch``."""
        if epoch is None:
            self.last_epoch += 1
            rates = self.get_lr()
        else:
            self.last_epoch = epoch
            closed = getattr(self, "_closed_form", None)
            rates = self.get_lr() if closed is None else closed()
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = self._rates

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        vars(self).update(state_dict)

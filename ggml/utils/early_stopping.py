"""An end of training when a number has stopped to improve."""

from __future__ import annotations

import math
from typing import Any, Literal

from ggml.core.errors import ArgumentError, StateDictError

__all__ = ["EarlyStopping"]


class EarlyStopping:
    """``step(value)`` after each epoch is True once the value was no better for more than ``patience`` of them.

    Better is less ("min") or more ("max") than the best so far by more than ``min_delta``. NaN is never better.
    ``best`` is the best value, None before the first, and ``num_bad_epochs`` says for how long there was no better.
    """

    def __init__(self, patience: int = 10, min_delta: float = 0.0, mode: Literal["min", "max"] = "min") -> None:
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 0:
            raise ArgumentError("EarlyStopping", "patience", f"must be an integer from 0 on: {patience!r}")
        if not 0 <= min_delta < math.inf:
            raise ArgumentError("EarlyStopping", "min_delta", f"must be finite and not negative: {min_delta}")
        if mode not in ("min", "max"):
            raise ArgumentError("EarlyStopping", "mode", f"is min or max: {mode!r}")
        self.patience, self.min_delta, self.mode = patience, float(min_delta), mode
        self.best: float | None = None
        self.num_bad_epochs = 0

    @property
    def should_stop(self) -> bool:
        return self.num_bad_epochs > self.patience

    def step(self, value: Any) -> bool:
        """Count in the value of an epoch, a number or a tensor of one; returns ``should_stop``."""
        number = float(value)
        if self._is_better(number):
            self.best, self.num_bad_epochs = number, 0
        else:
            self.num_bad_epochs += 1
        return self.should_stop

    def _is_better(self, number: float) -> bool:
        if math.isnan(number) or self.best is None:
            return not math.isnan(number)
        gain = self.best - number if self.mode == "min" else number - self.best
        return gain > self.min_delta

    def state_dict(self) -> dict[str, Any]:
        """The best value and the count; not the settings."""
        return {"best": self.best, "num_bad_epochs": self.num_bad_epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there. StateDictError where something is missing."""
        missing = [name for name in ("best", "num_bad_epochs") if name not in state_dict]
        if missing:
            raise StateDictError("EarlyStopping", missing, [], [], True)
        self.best, self.num_bad_epochs = state_dict["best"], int(state_dict["num_bad_epochs"])

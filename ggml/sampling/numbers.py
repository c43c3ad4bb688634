"""Numbers that a client gives: in which range, and as Python's own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

from ggml.core.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Range:
    """What a parameter may be: [low, high], both included. The native sampler takes all of it; a test compares them."""

    low: float
    high: float
    is_whole: bool = False
    instead: tuple[tuple[int, int | None], ...] = ()  # (what llama-server takes too, what it stands for)

    def __str__(self) -> str:
        numbers = (
            f"a whole number from {self.low} to {self.high}"
            if self.is_whole
            else (f"a number from {self.low:g} to {self.high:g}")
        )
        return ", or ".join((numbers, *(str(value) for value, _ in self.instead)))

    def checked(self, name: str, given: Any) -> float | int | None:
        """The number that is meant; ArgumentError names the parameter, and says what it may be."""
        if given is None and any(stands_for is None for _, stands_for in self.instead):
            return None
        value = unwrapped(given)
        is_number = isinstance(value, int) if self.is_whole else isinstance(value, Real)
        if isinstance(value, bool) or not is_number:
            kind = "whole number" if self.is_whole else "number"
            raise ArgumentError(name, shown(given), f"is not a {kind}; give {self}")
        for alias, stands_for in self.instead:
            if value == alias:
                return stands_for
        if not self.low <= value <= self.high:  # so is NaN
            is_finite = isinstance(value, int) or math.isfinite(value)
            reason = "is out of range" if is_finite else "is not a finite number"
            raise ArgumentError(name, shown(value), f"{reason}; give {self}")
        return int(value) if self.is_whole else float(value) + 0.0  # no negative zero


def shown(value: Any) -> str:
    """Short, and never an error of its own: of very long numbers Python gives no digits."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    return repr(value)[:100]


def unwrapped(given: Any) -> Any:
    """Python's own number of numpy's, or of an array without axes."""
    return given.item() if getattr(given, "ndim", None) == 0 and hasattr(given, "item") else given

"""Models from code with random weights, small, but with every part of their families."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class Entry:
    """A model to export with ``arguments(batch)`` of a batch of 2, and to compare there and at a batch of 3.

    ``axes`` names the axes that may differ, for each argument.
    """

    name: str
    make: Callable[[], Any]
    arguments: Callable[[int], Arguments]
    axes: tuple[Any, ...] = field(default=({0: "batch"},))
    tolerance: float = 1e-4

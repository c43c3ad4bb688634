"""Models from code with random weights, small, but with every part of their families."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class Entry:
    """A model to export with ``arguments(batch)`` of a batch of 2, and to compare there and at a batch of 3.

    ``axes`` names the axes that may differ, for each argument; ``bounds`` says within what, where it is not 2 to 32.
    ``library`` is the package whose class it is, which may not be installed. ``is_quick`` says that the default run has
    it. ``missing`` names the operations without a rule.
    """

    name: str
    make: Callable[[], Any]
    arguments: Callable[[int], Arguments]
    axes: tuple[Any, ...] = field(default=({0: "batch"},))
    bounds: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    tolerance: float = 1e-4
    library: str = ""
    is_quick: bool = True
    missing: tuple[str, ...] = ()

"""Numbers that a client gives to a cluster: in which range, and as Python's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cluster.api.errors import UsageError
from ggml.core.errors import ArgumentError
from ggml.sampling import numbers


@contextmanager
def usage_errors() -> Iterator[None]:
    """What the rules of `ggml` refuse is a UsageError here, in the same words."""
    try:
        yield
    except ArgumentError as error:
        raise UsageError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Range(numbers.Range):
    """What a number may be: [low, high], both included."""

    def checked(self, name: str, given: Any) -> float | int | None:
        """The number that is meant; UsageError names the parameter, and says what it may be."""
        with usage_errors():
            return numbers.Range.checked(self, name, given)

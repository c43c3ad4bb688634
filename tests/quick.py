"""Parametrised tests of which the normal run makes some, and `make test-all` all."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import pytest


def some_quick(values: Iterable[Any], quick: Container[Any]) -> list[Any]:
    """The parameters; those that are not among `quick` are slow."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]

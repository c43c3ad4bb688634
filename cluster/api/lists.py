"""What a client gives beside what draws its tokens: texts, and the scales of adapters. Checked and bounded here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.api.errors import UsageError
from cluster.api.numbers import Range
from ggml.sampling.numbers import shown

MAX_SHOWN_TOKENS = 1024
MAX_ADAPTERS = 64  # of a cluster
LARGEST_SCALE = 1e6

ADAPTER_ID = Range(0, MAX_ADAPTERS - 1, True)
SCALE = Range(-LARGEST_SCALE, LARGEST_SCALE)
Scales = tuple[tuple[int, float], ...]  # (number of an adapter, what it is multiplied by)


@dataclass(frozen=True, slots=True)
class Text:
    """One text."""

    most_bytes: int

    def checked(self, name: str, given: Any) -> str:
        if not isinstance(given, str):
            raise UsageError(f"{name}: {shown(given)} is not a string; give text")
        size_bytes = len(given.encode("utf-8", "surrogatepass"))
        if size_bytes > self.most_bytes:
            raise UsageError(f"{name}: {size_bytes} bytes; give at most {self.most_bytes}")
        return given


@dataclass(frozen=True, slots=True)
class AdapterScales:
    """What adapters are multiplied by: pairs of an adapter's number and a finite scale, or a dict; none twice."""

    def checked(self, name: str, given: Any) -> Scales:
        pairs = tuple(given.items()) if isinstance(given, Mapping) else given
        if not isinstance(pairs, list | tuple) or not all(
            isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs
        ):
            raise UsageError(f"{name}: {shown(given)} is not a list of pairs; give an id and a scale for each adapter")
        if len(pairs) > MAX_ADAPTERS:
            raise UsageError(f"{name}: {len(pairs)} items; give at most {MAX_ADAPTERS}")
        found = tuple([(_whole(name, one), _scale(name, scale)) for one, scale in pairs])
        if len(dict(found)) < len(found):
            raise UsageError(f"{name}: an id is there twice; give each adapter at most once")
        return found


def _whole(name: str, given: Any) -> int:
    found = ADAPTER_ID.checked(name, given)
    assert isinstance(found, int)
    return found


def _scale(name: str, given: Any) -> float:
    found = SCALE.checked(name, given)
    assert found is not None
    return found

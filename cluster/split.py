"""Where an operator wants the layers: ``--layers 0-11,12-23`` and ``--tensor-split 3,1`` as text."""

from __future__ import annotations

import math
import re

from cluster.api.errors import UsageError

MAX_PARTS = 256
_RANGE = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")


def parse_layers(text: str) -> tuple[tuple[int, int], ...]:
    """``0-11,12-23`` (both ends included) as [first, end) of each stage. UsageError unless they follow one another."""
    ranges: list[tuple[int, int]] = []
    for part in _parts("layers", text):
        found = _RANGE.fullmatch(part)
        if found is None:
            raise UsageError(f"layers: {part!a} is no range of layers; give one for each stage, such as 0-11,12-23")
        first, last = int(found[1]), int(found[2] or found[1])
        expected = ranges[-1][1] if ranges else 0
        if first != expected or last < first:
            raise UsageError(f"layers: {part!a} must begin at layer {expected} and not end before it begins")
        ranges.append((first, last + 1))
    return tuple(ranges)


def format_layers(ranges: tuple[tuple[int, int], ...]) -> str:
    """The text that `parse_layers` reads."""
    return ",".join(f"{first}-{end - 1}" for first, end in ranges)


def parse_tensor_split(text: str) -> tuple[float, ...]:
    """``3,1``: the share of the layers that each stage gets, relative to the others."""
    shares = []
    for part in _parts("tensor-split", text):
        try:
            share = float(part)
        except ValueError:
            share = math.nan
        if not 0 < share < 1e9:
            raise UsageError(f"tensor-split: {part!a} is no share; give a positive number for each stage, such as 3,1")
        shares.append(share)
    return tuple(shares)


def _parts(name: str, text: str) -> list[str]:
    parts = [part.strip() for part in text.replace("/", ",").split(",")]
    if len(parts) > MAX_PARTS:
        raise UsageError(f"{name}: {len(parts)} stages are more than {MAX_PARTS}; give fewer")
    return parts

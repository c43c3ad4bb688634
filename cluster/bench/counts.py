"""Whole numbers as they are given on the command line, and their bounds. Pure."""

from __future__ import annotations

from cluster.api.errors import UsageError


def parse_counts(name: str, text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas, as given to `name`, each once. UsageError for anything else."""
    return tuple(dict.fromkeys(_numbers(name, text, "1,8,16")))


def parse_pair(name: str, text: str, second: int) -> tuple[int, int]:
    """``N`` or ``N,M`` as given to `name`; `second` stands in for a missing M. UsageError for anything else."""
    counts = _numbers(name, text, "8,2048")
    if len(counts) > 2:
        raise UsageError(f"{name}: {text!r} has {len(counts)} numbers; give one or two, for example 8,2048")
    return (counts[0], counts[1]) if len(counts) == 2 else (counts[0], second)


def check_count(name: str, value: int, low: int, high: int) -> None:
    """UsageError unless `value` is in [low, high] (both ends included)."""
    if not low <= value <= high:
        raise UsageError(f"{name}: {value} is out of range; give whole numbers from {low} to {high}")


def _numbers(name: str, text: str, example: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"{name}: {text!r} is not a list of whole numbers; give for example {example}") from error

"""A pattern that finds the longest of many names, and looks at each character of a text once for all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

MAX_DEPTH = 50  # of groups within each other, of which Python's patterns take no hundred


def name_pattern(names: Sequence[str]) -> str:
    """For `re`; of no names it is one that matches nothing. `names` are sorted, and none is empty or there twice."""
    return _pattern(names, 0) if names else r"(?!)"


def _pattern(names: Sequence[str], depth: int) -> str:
    """Names with the same beginning share it, and the longest of them is tried first."""
    if depth == MAX_DEPTH:
        return _alternatives([re.escape(name) for name in sorted(names, key=len, reverse=True)])
    found = []
    for _, group in groupby(names, key=lambda name: name[0]):
        same = list(group)
        begin = _common(same)
        rests = [name[len(begin) :] for name in same if name != begin]
        is_whole = len(rests) < len(same)
        rest = _pattern(rests, depth + 1) if rests else ""
        found.append(re.escape(begin) + (f"(?:{rest})?" if is_whole and rests else rest))
    return _alternatives(found)


def _alternatives(patterns: Sequence[str]) -> str:
    return patterns[0] if len(patterns) == 1 else f"(?:{'|'.join(patterns)})"


def _common(names: Sequence[str]) -> str:
    """The beginning that sorted names share: that of the first and the last one."""
    first, last = names[0], names[-1]
    size = next(
        (place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
    )
    return first[:size]

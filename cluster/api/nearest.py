"""The end of an error about an unknown name: the known one that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


def did_you_mean(
    name: str, known: Iterable[str], otherwise: str, *, cutoff: float = 0.6, shown: Callable[[str], str] = str
) -> str:
    """ "did you mean temperature?", or `otherwise` where no known name is like `name`. `cutoff`: that of difflib."""
    near = difflib.get_close_matches(name, list(known), 1, cutoff)
    return f"did you mean {shown(near[0])}?" if near else otherwise

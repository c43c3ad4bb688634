"""A shape as callers see it."""

from __future__ import annotations

import math


class Size(tuple[int, ...]):
    """A shape, as ``torch.Size``."""

    __slots__ = ()

    def numel(self) -> int:
        return math.prod(self)

    def __repr__(self) -> str:
        return f"ggml.Size({list(self)})"

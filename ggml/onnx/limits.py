"""How much a file from outside may ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ggml.core.errors import ArgumentError

#: The most nodes, and the most elements of an array that is computed on the host while shapes are worked out.
MAX_NODES = 200_000
MAX_HOST_ELEMENTS = 1 << 24

#: How deep graphs may lie within nodes of graphs, and how many nodes of such graphs one call of a module may run: the
#: trip count of a loop is a number of the file, or of what a file makes of an input.
MAX_DEPTH = 16
MAX_STEPS = 1_000_000


def need_few(where: str, shape: Sequence[int]) -> None:
    """ArgumentError for an array on the host that no shape needs."""
    if any(extent < 0 for extent in shape) or math.prod(shape) > MAX_HOST_ELEMENTS:
        raise ArgumentError(where, "the result", f"{tuple(shape)} has more than {MAX_HOST_ELEMENTS} elements, or none")

"""How many bytes the inputs of a native graph need, told from its steps alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NoReturn

from ggml.core.dtypes import ALL
from ggml.graph.program import Steps

_BY_TYPE = {dtype.ggml_type: dtype for dtype in ALL.values() if dtype.name != "bool"}
#: More than any tensor here may have.
MAX_ELEMENTS = 1 << 46


def input_sizes(steps: Steps, fail: Callable[[str], NoReturn]) -> tuple[list[int], int]:
    """The bytes of each step named "input", and the number of steps. ``fail`` is called with what is not sound.

    What a primitive asks of its sources is checked where it is built.
    """
    flat, place, sizes, num_steps = steps.words.tolist(), 0, [], 0
    while place < len(flat):
        head = flat[place : place + 7]
        if len(head) < 7 or not 0 <= head[0] < len(steps.names) or head[6] < 0:
            fail(f"have no whole step {num_steps}")
        dtype, ne = _BY_TYPE.get(head[1]), head[2:6]
        if dtype is None or min(ne) < 1 or math.prod(ne) > MAX_ELEMENTS or ne[0] % dtype.block:
            fail(f"have the step {num_steps} of the type {head[1]} with the extents {ne}")
        sources = flat[place + 7 : place + 7 + head[6]]
        if any(not 0 <= source < num_steps for source in sources):
            fail(f"have the step {num_steps}, which reads a step that is not before it")
        place += 7 + head[6]
        if place >= len(flat) or flat[place] < 0 or place + 1 + flat[place] > len(flat):
            fail(f"end inside of step {num_steps}")
        place += 1 + flat[place]
        if steps.names[head[0]] == "input":
            sizes.append(dtype.num_bytes(math.prod(ne)))
        num_steps += 1
    return sizes, num_steps

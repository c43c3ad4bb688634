"""What steps of few rows take, as a stage times them when it is loaded."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from cluster.stage.tuning import MEASURE_ROUNDS, MEASURE_S, MEASURED_ROWS


def timed_rows(step_ms: Callable[[int], float], most_rows: int, limit_s: float = MEASURE_S) -> dict[int, float]:
    """The least ms of a step, by the number of its rows, up to `most_rows`. `step_ms` takes one, and says how long.

    `limit_s`: most that it takes, or a little more.
    """
    found: dict[int, float] = {}
    deadline_s = time.monotonic() + limit_s
    # Round after round, so that what disturbs one is not taken for the cost of one size.
    for num_rows in [size for size in MEASURED_ROWS if size <= most_rows] * MEASURE_ROUNDS:
        found[num_rows] = min(step_ms(num_rows), found.get(num_rows, math.inf))
        if time.monotonic() > deadline_s:
            break
    return found

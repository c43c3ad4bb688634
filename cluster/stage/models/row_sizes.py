"""How many rows to compute for how many that are wanted: kernels of ggml compute some rows at once."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.stage.tuning import MOST_PADDING, PADDING_GAIN, PERIOD


def row_sizes(decode_ms: Mapping[int, float], most_rows: int) -> list[int]:
    """How many rows to compute for 1, 2, ... `most_rows`: more where that takes clearly less time.

    Kernels compute some rows at once, and what is left over row by row: beyond those that were measured one by one,
    the last PERIOD of them repeat.
    """
    sizes: list[int] = []
    for num_rows in range(1, most_rows + 1):
        if num_rows in decode_ms:
            near = (size for size in decode_ms if num_rows <= size <= num_rows + MOST_PADDING)
            fastest = min(near, key=decode_ms.__getitem__)
            is_worth_it = decode_ms[fastest] < PADDING_GAIN * decode_ms[num_rows]
            sizes.append(fastest if is_worth_it else num_rows)
        elif num_rows > 2 * PERIOD:
            sizes.append(min(sizes[-PERIOD] + PERIOD, most_rows))
        else:
            sizes.append(num_rows)
    return sizes

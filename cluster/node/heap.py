"""Memory of processes that must answer within a millisecond, whatever is sent to them."""

from __future__ import annotations

import contextlib
import ctypes
import gc

M_MMAP_THRESHOLD = -3  # mallopt(3)
LARGE_BYTES = 256 << 10


def freeze_heap() -> None:
    """What is there now lives as long as the process, and is not looked through again.

    Ray and gRPC leave so many objects that a full collection takes longer than a step.
    """
    gc.collect()
    gc.freeze()


def return_large_blocks() -> None:
    """What is freed of large blocks, such as long messages, goes back to the system at once (with the GNU C library).

    By default it keeps them from the first one on: eight clients that sent 4 MiB each again and again had left 290 MiB
    behind, and leave 20 so.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)

"""Pauses of Python's garbage collector, in processes that must answer within a millisecond."""

from __future__ import annotations

import gc


def freeze_heap() -> None:
    """What is there now lives as long as the process, and is not looked through again.

    Ray and gRPC leave so many objects that a full collection takes longer than a step.
    """
    gc.collect()
    gc.freeze()

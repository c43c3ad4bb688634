"""Threads, and the graphs that are kept."""

from __future__ import annotations

import os

from ggml.core.devices import CPU
from ggml.core.errors import ArgumentError
from ggml.graph.cache import CACHE
from ggml.graph.observers import refuse_inside
from worker_native import set_threads


def _num_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not every system can tell
        return os.cpu_count() or 1


_num_threads = _num_cores()
set_threads(CPU.native, _num_threads)


def set_num_threads(num_threads: int) -> None:
    """How many threads the CPU computes with; at first, as many as there are cores for this process."""
    global _num_threads
    refuse_inside()
    try:
        set_threads(CPU.native, num_threads)
    except (ValueError, TypeError) as error:
        raise ArgumentError("set_num_threads", "num_threads", str(error)) from None
    _num_threads = num_threads


def get_num_threads() -> int:
    """How many threads the CPU computes with."""
    return _num_threads


def num_graphs() -> int:
    """How many compiled graphs are kept for shapes that were seen."""
    return len(CACHE)


def clear_graphs() -> None:
    """Forget them, and free their memory."""
    CACHE.clear()

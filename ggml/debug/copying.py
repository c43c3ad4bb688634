"""A graph with all its inputs on another device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ggml.backend.scheduler import Scheduler
from ggml.core.devices import Device


@contextmanager
def copied(device: Device | str, graph: Any, *inputs: Any) -> Iterator[Scheduler]:
    """For ``with``: the graph of a function or lazy tensor, copied with its inputs to a device for the block."""
    copy = Scheduler(graph, *inputs, on=device)
    try:
        yield copy
    finally:
        copy.close()

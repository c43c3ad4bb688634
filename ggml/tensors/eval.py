"""``ggml.eval``: compute several tensors together."""

from __future__ import annotations

import asyncio
from typing import Any

from ggml.core.errors import DTypeError
from ggml.core.node import Node
from ggml.graph import executor
from ggml.tensors.tensor import Tensor


def eval(*values: Any) -> None:
    """Compute these tensors now, in one graph for each device; sequences and dicts of tensors are walked."""
    nodes: list[Node] = []
    _collect(values, nodes)
    executor.compute(nodes)


async def eval_async(*values: Any) -> None:
    """``eval`` that can be awaited: another thread waits for ggml, which computes without the GIL.

    When the awaiting task is cancelled, the computation ends between two operations.
    """
    nodes: list[Node] = []
    _collect(values, nodes)
    stop = executor.Stop()
    try:
        await asyncio.to_thread(executor.compute, nodes, "eval", stop)
    except asyncio.CancelledError:
        stop.ask()
        raise


def is_lazy(value: Tensor) -> bool:
    """Whether the tensor's elements are still to be computed."""
    if not isinstance(value, Tensor):
        raise DTypeError("is_lazy", "a tensor", type(value).__name__)
    return value._node.buffer is None


def _collect(value: Any, nodes: list[Node]) -> None:
    if isinstance(value, Tensor):
        nodes.append(value._node)
    elif isinstance(value, dict):
        _collect(list(value.values()), nodes)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _collect(item, nodes)
    else:
        raise DTypeError("eval", "tensors", type(value).__name__)

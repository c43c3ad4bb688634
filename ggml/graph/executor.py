"""Computing nodes: those of each device together, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ggml.core.devices import Device, refuse_elsewhere
from ggml.core.errors import (
    CancelledError,
    TracingError,
)
from ggml.core.node import OWN, Node
from ggml.graph.cache import CACHE
from ggml.graph.executable import Early
from ggml.graph.plan import plan
from worker_native import Buffer, Graph


class Stop:
    """Lets another thread end a ``compute``, which raises CancelledError."""

    def __init__(self) -> None:
        self._is_asked = False
        self._graph: Graph | None = None

    def ask(self) -> None:
        """End what runs now, between two operations, and begin nothing more."""
        self._is_asked = True
        if self._graph is not None:
            self._graph.cancel()

    def watch(self, graph: Graph) -> None:
        """The graph is about to run."""
        self._graph = graph
        if self._is_asked:
            raise CancelledError


def compute(
    nodes: Sequence[Node], op: str = "eval", stop: Stop | None = None, early: Mapping[int, Early] | None = None
) -> None:
    """Give each node its memory. Nodes of different devices are computed apart.

    A view of memory that others may write to stays a view: only what is made of it can be kept. ``early``: by id of a
    node, who sees its elements while others are computed; not called for a node that has them already.
    """
    todo = list({id(node): node for node in nodes if node.buffer is None and not _looks_on(node)}.values())
    for device in dict.fromkeys(node.device for node in todo):
        here = [node for node in todo if node.device == device]
        for node, buffer in zip(here, _compute_on(device, here, op, stop, early), strict=True):
            node.settle(buffer)


def memory(node: Node, op: str = "eval") -> Buffer:
    """The node's elements, computed if need be; of a view of memory that others may write to, as they are now."""
    if node.buffer is None:
        if _looks_on(node):
            return _compute_on(node.device, [node], op)[0]
        compute([node], op)
    buffer = node.buffer
    assert buffer is not None
    return buffer


def _looks_on(node: Node) -> bool:
    """Whether the node is a view of shared memory. Everything else that reads such memory is computed at once."""
    return node.sharing != OWN and node.is_shared and node.op is not None and node.op.runs == "view"


def _compute_on(
    device: Device, nodes: list[Node], op: str, stop: Stop | None = None, early: Mapping[int, Early] | None = None
) -> list[Buffer]:
    refuse_elsewhere(device, op)
    todo = plan(nodes)
    buffers = [node.buffer for node in todo.leaves]
    known = [buffer for buffer in buffers if buffer is not None]
    if len(known) != len(buffers):
        raise TracingError(op)
    program = CACHE.program(todo, device)
    if stop is not None:
        stop.watch(program.graph)
    if early is None:
        return program.run(known, device)
    return program.run(known, device, {at: early[id(node)] for at, node in enumerate(nodes) if id(node) in early})

"""Nodes and graphs of a file, checked and ready to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ggml.onnx.subgraph import Value


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One node. ``where`` names it in messages; an operand that is left out has the empty name.

    ``captured`` are the names around the node that graphs among its attributes read.
    """

    op: str
    where: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    captured: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """All names that must be there when the node runs."""
        return (*self.inputs, *self.captured)


class Graph:
    """Nodes in an order in which they can run. ``last`` has the place of the node that is the last to read a name."""

    def __init__(self, nodes: Sequence[OnnxNode], outputs: Sequence[str]) -> None:
        self.nodes, self.outputs = tuple(nodes), tuple(outputs)
        kept = set(outputs)
        self.last = {
            name: place for place, node in enumerate(self.nodes) for name in node.reads if name and name not in kept
        }


@dataclass(frozen=True, slots=True)
class Body:
    """A graph that is an attribute. ``captured`` are names of the graphs around it that it reads."""

    graph: Graph
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    captured: tuple[str, ...] = field(default=())

"""A graph as a table, and as a drawing."""

from __future__ import annotations

from typing import Any

from ggml.backend.capture import capture
from ggml.backend.scheduler import Scheduler
from ggml.core.devices import Device
from ggml.graph.observers import GraphNode

Place = Device | str | None


def dump(graph: Any, *inputs: Any, on: Place = None) -> str:
    """The graph of a function or lazy tensor as a table: one line for each ggml node. Nothing is computed."""
    nodes = _nodes(graph, inputs, on)
    lines = [f"{'node':24} {'op':16} {'dtype':9} {'shape':18} {'bytes':>10} {'on':6} from"]
    for node in nodes:
        size = "view" if node.is_view else str(node.num_bytes)
        line = f"{node.name:24} {node.op:16} {node.dtype.name:9} {node.shape!s:18} {size:>10} {node.device:6} "
        lines.append(line + ", ".join(node.sources))
    return "\n".join(lines)


def dot(graph: Any, *inputs: Any, on: Place = None) -> str:
    """The graph as text for Graphviz (``dot -Tsvg``). Boxes are computed, ellipses are inputs, dotted ones views."""
    nodes = _nodes(graph, inputs, on)
    known = {node.name for node in nodes}
    lines = ["digraph ggml {", "  rankdir=TB; node [shape=box, fontname=monospace];"]
    for name in sorted({source for node in nodes for source in node.sources} - known):
        lines.append(f'  "{name}" [shape=ellipse];')
    for node in nodes:
        style = ", style=dotted" if node.is_view else ""
        text = f"{node.name}\\n{node.op} {node.dtype.name} {list(node.shape)}"
        lines.append(f'  "{node.name}" [label="{text}"{style}];')
        lines += [f'  "{source}" -> "{node.name}";' for source in node.sources]
    return "\n".join([*lines, "}"])


def _nodes(graph: Any, inputs: tuple[Any, ...], on: Place) -> list[GraphNode]:
    return Scheduler(capture(graph, inputs), on=on).nodes

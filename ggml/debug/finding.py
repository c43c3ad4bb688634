"""The first node that makes a NaN or an infinity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.backend.capture import Capture, capture
from ggml.backend.scheduler import Scheduler
from ggml.graph.observers import GraphNode, Observation
from ggml.tensors import transfer


@dataclass(frozen=True, slots=True)
class Range:
    """The values of one tensor in short; ``low`` and ``high`` are of the finite ones (NaN if there are none)."""

    name: str
    low: float
    high: float
    num_nan: int
    num_inf: int

    def __str__(self) -> str:
        odd = f", {self.num_nan} NaN" if self.num_nan else ""
        odd += f", {self.num_inf} inf" if self.num_inf else ""
        return f"{self.name} in [{self.low:.6g}, {self.high:.6g}]{odd}"


@dataclass(frozen=True, slots=True)
class NonFinite:
    """Where the first NaN or infinity is. ``node`` is None if an input has it."""

    node: GraphNode | None
    values: Range
    sources: tuple[Range, ...]  # what the node was computed from

    def __str__(self) -> str:
        if self.node is None:
            return f"an input is not finite: {self.values}"
        made_of = "; ".join(str(one) for one in self.sources)
        return f"{self.node.name} ({self.node.op}, {self.node.shape}): {self.values}; from {made_of or 'nothing'}"


class _Found(Exception):
    """Ends the run."""


def find_nan(graph: Any, *inputs: Any, infinities: bool = True) -> NonFinite | None:
    """Run the graph of a function or lazy tensor until a node makes a NaN, or an infinity; None if none does.

    Inputs and what the graph holds are looked at first. With ``infinities=False`` only NaN counts: masks of -inf
    are often meant.
    """
    held = capture(graph, inputs)
    ranges = _leaf_ranges(held)
    for one in ranges.values():
        if _is_bad(one, infinities):
            return NonFinite(None, one, ())
    scheduler = Scheduler(held)
    nodes = {node.name: node for node in scheduler.nodes}
    found: list[NonFinite] = []

    def look(name: str, op: str, shape: tuple[int, ...], value: NDArray[Any]) -> None:
        ranges[name] = range_of(name, value)
        if _is_bad(ranges[name], infinities):
            node = nodes[name]
            sources = [_origin(source, nodes) for source in node.sources]
            found.append(NonFinite(node, ranges[name], tuple(ranges[one] for one in sources if one in ranges)))
            raise _Found

    try:
        with Observation(look):
            scheduler.run()
    except _Found:
        return found[0]
    return None


def range_of(name: str, value: NDArray[Any]) -> Range:
    """The values in short."""
    if value.dtype.kind != "f":
        finite = value.reshape(-1)
        num_nan = num_inf = 0
    else:
        finite = value[np.isfinite(value)]
        num_nan, num_inf = int(np.isnan(value).sum()), int(np.isinf(value).sum())
    if not finite.size:
        return Range(name, float("nan"), float("nan"), num_nan, num_inf)
    return Range(name, float(finite.min()), float(finite.max()), num_nan, num_inf)


def _is_bad(one: Range, infinities: bool) -> bool:
    return one.num_nan > 0 or (infinities and one.num_inf > 0)


def _leaf_ranges(held: Capture) -> dict[str, Range]:
    ranges = {}
    for name, node, buffer in zip(held.leaf_names, held.plan.leaves, held.leaves, strict=True):
        if not node.dtype.is_quantized and node.numel:
            ranges[name] = range_of(name, transfer.values(node, buffer))
    return ranges


def _origin(name: str, nodes: dict[str, GraphNode]) -> str:
    """What a view looks at."""
    while name in nodes and nodes[name].is_view:
        name = nodes[name].sources[0]
    return name

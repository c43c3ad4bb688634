"""Node by node, how far two runs of one graph differ."""

from __future__ import annotations

from dataclasses import dataclass

from ggml.graph.observers import GraphNode


@dataclass(frozen=True, slots=True)
class Difference:
    """One node. A difference is NaN-free: NaNs in the same places are equal, others count as infinite."""

    node: GraphNode
    max_abs: float
    max_rel: float  # over the largest magnitude of the node in the first run
    is_close: bool


@dataclass(frozen=True, slots=True)
class Report:
    """The nodes in the order in which they ran."""

    a: str  # where the first run was: device, and threads if they were set
    b: str
    rtol: float
    atol: float
    differences: tuple[Difference, ...]

    @property
    def is_close(self) -> bool:
        return all(one.is_close for one in self.differences)

    @property
    def first(self) -> Difference | None:
        """The first node that is not close: what comes after it may only have inherited that."""
        return next((one for one in self.differences if not one.is_close), None)

    @property
    def worst(self) -> Difference:
        """The node with the largest difference relative to its size."""
        return max(self.differences, key=lambda one: one.max_rel)

    def __str__(self) -> str:
        lines = [f"{'node':24} {'op':16} {'shape':16} {'max abs':>10} {'max rel':>10}   {self.a} and {self.b}"]
        for one in self.differences:
            mark = "" if one.is_close else "   differs"
            node = one.node
            lines.append(f"{node.name:24} {node.op:16} {node.shape!s:16} {one.max_abs:10.3g} {one.max_rel:10.3g}{mark}")
        return "\n".join(lines)

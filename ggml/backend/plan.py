"""How a graph is cut into parts, one device after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ggml.graph.observers import GraphNode


@dataclass(frozen=True, slots=True)
class Split:
    """Nodes that one device computes without a break."""

    backend: str  # ggml's name of the device
    nodes: tuple[GraphNode, ...]
    inputs: tuple[str, ...]  # what is copied to the device before it begins


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """A graph cut into splits, in the order in which they run."""

    splits: tuple[Split, ...]
    backends: tuple[str, ...]  # devices that take part, the most wanted first
    n_splits: int  # as ggml counts them
    reserve_bytes: dict[str, int] | None  # for intermediate results; None where pinned nodes keep ggml from measuring

    @property
    def nodes(self) -> tuple[GraphNode, ...]:
        return tuple(node for split in self.splits for node in split.nodes)

    def __str__(self) -> str:
        lines = []
        for number, one in enumerate(self.splits):
            copied = f", copies {', '.join(one.inputs)}" if one.inputs else ""
            lines.append(f"split {number} on {one.backend}: {len(one.nodes)} nodes{copied}")
            lines += [f"  {node.name:24} {node.op:16} {node.dtype.name:9} {node.shape}" for node in one.nodes]
        return "\n".join(lines)


def cut(nodes: Sequence[GraphNode]) -> tuple[Split, ...]:
    """The nodes by device. Views belong to no split: they cost nothing wherever they are."""
    groups: list[list[GraphNode]] = []
    for node in nodes:
        if node.is_view:
            continue
        if groups and groups[-1][0].device == node.device:
            groups[-1].append(node)
        else:
            groups.append([node])
    return tuple(Split(group[0].device, tuple(group), _copied(group)) for group in groups)


def _copied(group: Sequence[GraphNode]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for node in group for name in node.copied))

"""A graph of torch with the parts that ggml runs in the place of their nodes."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass
from typing import Any

from ggml.export.mixed.island import Island
from ggml.export.mixed.part import flops_of, is_arithmetic, why_not
from ggml.export.translating import op_name
from ggml.programs.coverage import Coverage, Row, coverage, in_order
from ggml.programs.passes import NAMES

_PREFIX = "ggml_part_"


@dataclass(frozen=True)
class Partition:
    """``module`` is what torch calls; ``left`` has each node that stays torch's, and why."""

    module: Any
    islands: list[Island]
    left: dict[Any, str]
    ranges: Mapping[Any, Any]

    def coverage(self) -> Coverage:
        """The tables of all parts together, and what runs between them."""
        counts: Counter[tuple[str, str, str]] = Counter()
        work: Counter[tuple[str, str, str]] = Counter()
        for row in [row for island in self.islands for row in coverage(island.graph).rows]:
            counts[row.op, row.on, row.why] += row.count
            work[row.op, row.on, row.why] += row.flops
        for node, why in self.left.items():
            key = op_name(node), "torch" if why else "folded", why
            counts[key] += 1
            work[key] += flops_of(node, self.ranges) if why else 0
        return in_order(Row(op, count, on, why, work[op, on, why]) for (op, on, why), count in counts.items())


def partition(
    module: Any, ranges: Mapping[Any, Any], weights: Mapping[str, str], passes: Collection[str] = NAMES
) -> Partition:
    """Only what cannot run on ggml stays torch's. ``weights``: the names of those, by their placeholders' names;
    ``passes``: those of ``ggml.export.PASSES`` that parts go through."""
    from torch.fx.passes.infra.partitioner import CapabilityBasedPartitioner

    module = copy.copy(module)
    module.graph = copy.deepcopy(module.graph)
    left = _left(module.graph, ranges)
    partitioner = CapabilityBasedPartitioner(module, Support(left), allows_single_node_partition=True)
    fused = partitioner.fuse_partitions(partitioner.propose_partitions(), prefix=_PREFIX)
    islands = []
    for node in list(fused.graph.nodes):
        if node.op != "call_module" or not str(node.target).startswith(_PREFIX):
            continue
        part = getattr(fused, node.target)
        reads = [one for one in part.graph.nodes if one.op == "placeholder"]
        outside = zip(reads, node.args, strict=True)
        names = {read: weights[one.name] for read, one in outside if one.op == "placeholder" and one.name in weights}
        island = Island(part, ranges, names, passes)
        delattr(fused, node.target)
        setattr(fused, node.target, _as_module(island))
        islands.append(island)
    return Partition(fused, islands, left, ranges)


def _left(graph: Any, ranges: Mapping[Any, Any]) -> dict[Any, str]:
    """What stays torch's, and why; nothing is said of arithmetic on extents. Parts of a result stay with it."""
    left: dict[Any, str] = {}
    for node in graph.nodes:
        if node.op in ("placeholder", "output", "get_attr"):
            continue
        if op_name(node) == "operator.getitem":
            if node.args[0] in left:
                left[node] = left[node.args[0]]
        elif is_arithmetic(node):
            left[node] = ""
        elif why := why_not(node, ranges):
            left[node] = why
    return left


class Support:
    """What torch's partitioner asks. ``left``: the nodes that are not for ggml."""

    def __init__(self, left: Container[Any]) -> None:
        self._left = left

    def is_node_supported(self, submodules: Any, node: Any) -> bool:
        return node.op == "call_function" and node not in self._left


def _as_module(island: Island) -> Any:
    """torch's graphs call modules only."""
    import torch

    module: Any = torch.nn.Module()
    module.forward = island
    return module

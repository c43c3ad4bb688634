"""What of a program runs where, by operation: found out by walking it without memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ggml.core import tracing
from ggml.core.devices import CPU
from ggml.core.errors import ArgumentError, GgmlError
from ggml.core.node import MAX_RANK, placeholder
from ggml.programs.expressions import extents
from ggml.programs.flops import flops
from ggml.programs.graph import Graph, Node, Role, TensorSpec, read_by
from ggml.programs.walking import applied
from ggml.tensors.tensor import Tensor, wrap


@dataclass(frozen=True, slots=True)
class Row:
    """An operation: how many nodes of it run ``on`` what, how many ``flops`` they are together for the shapes of the
    example, and why one cannot run."""

    op: str
    count: int
    on: str  # "ggml"; "folded": worked out before the graph is built; "torch", for want of a rule; "missing"
    why: str = ""
    flops: int = 0


@dataclass(frozen=True, slots=True)
class Coverage:
    """The rows, those that are missing first. Prints as a table."""

    rows: tuple[Row, ...]

    @property
    def missing(self) -> tuple[Row, ...]:
        """What ggml cannot run, whether torch does instead or nothing."""
        return tuple([row for row in self.rows if row.on in ("missing", "torch")])

    def count(self, on: str) -> int:
        """How many nodes run there."""
        return sum(row.count for row in self.rows if row.on == on)

    def share(self, on: str) -> float:
        """The share of what is computed that is computed there, from 0 to 1; 0 where nothing computes."""
        total = sum(row.flops for row in self.rows)
        return sum(row.flops for row in self.rows if row.on == on) / total if total else 0.0

    def __str__(self) -> str:
        total = sum(row.flops for row in self.rows) or 1
        rows = [("op", "count", "runs on", "FLOPs", "why")]
        rows += [(row.op, str(row.count), row.on, f"{row.flops / total:.1%}", row.why) for row in self.rows]
        widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join(line.rstrip() for line in lines)

    __repr__ = __str__


_ORDER = ("missing", "torch", "ggml", "folded")


def coverage(graph: Graph) -> Coverage:
    """Every operation of the graph and where it runs, for the shapes of the example."""
    failed = failures(graph)
    counts: Counter[tuple[str, str, str]] = Counter()
    work: Counter[tuple[str, str, str]] = Counter()
    varies = varying(graph)
    for place, (node, num) in enumerate(zip(graph.nodes, flops(graph), strict=True)):
        if node.op == "operator.getitem" and place not in failed:
            continue
        on = "ggml" if len(graph.inputs) + place in varies else "folded"
        key = (node.op, "missing" if place in failed else on, failed.get(place, ""))
        counts[key] += 1
        work[key] += num
    for op, count in graph.stripped:
        counts[op, "folded", ""] += count
    return in_order(Row(op, count, on, why, work[op, on, why]) for (op, on, why), count in counts.items())


def in_order(rows: Iterable[Row]) -> Coverage:
    """A table of these rows: what is missing first, then what there is most of."""
    return Coverage(tuple(sorted(rows, key=lambda row: (_ORDER.index(row.on), -row.count, row.op))))


def varying(graph: Graph) -> set[int]:
    """The values that depend on what a call gives."""
    found = {place for place, one in enumerate(graph.inputs) if one.role is not Role.WEIGHT}
    for place, node in enumerate(graph.nodes, len(graph.inputs)):
        if any(value in found for value in read_by(node)):
            found.add(place)
    return found


def failures(graph: Graph) -> dict[int, str]:
    """Why a node cannot run, by its place, for the shapes of the example. Nothing is computed, no weight is read."""
    symbols = graph.hints
    failed: dict[int, str] = {}
    with tracing.recording():
        values = [_like(one.spec, symbols) if one.spec else one.constant for one in graph.inputs]
        for place, node in enumerate(graph.nodes):
            try:
                value = applied(node, values, symbols)
                _check_result(node, value, symbols)
            except GgmlError as error:
                failed[place] = " ".join(str(error).split())
                value = _stand_in(node, symbols)
            values.append(value)
    return failed


def _check_result(node: Node, value: Any, symbols: tuple[int, ...]) -> None:
    """What PyTorch says of a result must hold of ours: else what follows would compute something else.

    Of several results each that is used has a node that takes it, which is checked.
    """
    if node.spec is None:
        return
    wanted, dtype = extents(node.spec.shape, symbols), node.spec.dtype
    if not isinstance(value, Tensor) or value.dtype is not dtype or tuple(value.shape) != wanted:
        found = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ArgumentError(node.op, "result", f"would be {found}, but PyTorch's is {dtype} {wanted}")


def _like(spec: TensorSpec, symbols: tuple[int, ...]) -> Tensor:
    return wrap(placeholder(extents(spec.shape, symbols), spec.dtype, CPU))


def _stand_in(node: Node, symbols: tuple[int, ...]) -> Any:
    """What a node would have given, so that the nodes behind it can be asked, too."""
    tensors = [_like(spec, symbols) if len(spec.shape) <= MAX_RANK else None for spec in node.specs]
    return tuple(tensors) if node.is_tuple or len(tensors) != 1 else tensors[0]

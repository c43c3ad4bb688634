"""The nodes of a native graph, and functions that see their values while it runs."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError, GgmlError
from ggml.graph.program import Steps
from worker_native import Graph

Shape = tuple[int, ...]

#: (name, op, shape, value): what an observer is called with. ``value`` is an array of its own.
See = Callable[[str, str, Shape, NDArray[Any]], object]


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node of a ggml graph, in the order in which the nodes run."""

    index: int
    name: str  # the operation that it is part of, and its index: "softmax.3"
    op: str  # ggml's operation, or the kernel: "MUL_MAT", "map:add"
    shape: Shape  # as ggml holds it, without axes of one in front
    dtype: DType
    device: str  # ggml's name; empty while nothing is placed
    is_view: bool  # it costs nothing
    sources: tuple[str, ...]  # names of nodes, "input.0", "held.0" and "constant.0"
    copied: tuple[str, ...]  # the sources that are copied from another device
    step: int  # its place in the program, for pins

    @property
    def num_bytes(self) -> int:
        numel = int(np.prod(self.shape, dtype=object))
        return self.dtype.num_bytes(numel)


class Runnable(Protocol):
    """What `executable.Executable` has."""

    @property
    def graph(self) -> Graph: ...
    @property
    def num_leaves(self) -> int: ...
    @property
    def step_ops(self) -> list[str]: ...
    @property
    def steps(self) -> Steps: ...


def list_nodes(program: Runnable, leaves: Sequence[str] = ()) -> list[GraphNode]:
    """Every node of the program's graph. ``leaves`` are names for its inputs instead of "input.0", ..."""
    labels = program.steps.step_names()
    names = _input_names(labels, leaves or [f"input.{i}" for i in range(program.num_leaves)])
    facts = program.graph.nodes()
    for index, (step, *_) in enumerate(facts):
        names[step] = f"{program.step_ops[step] or 'input'}.{index}"
    nodes = []
    for index, (step, op, kind, shape, device, is_view, sources, copied) in enumerate(facts):
        inside, outside = [tuple(names[source] for source in group) for group in (sources, copied)]
        label = labels[step] if op == "CUSTOM" else op
        name = f"{program.step_ops[step] or 'input'}.{index}"
        dtype = dtypes.of_ggml_type(kind)
        nodes.append(GraphNode(index, name, label, shape, dtype, device, is_view, inside, outside, step))
    return nodes


def _input_names(labels: Sequence[str], leaves: Sequence[str]) -> dict[int, str]:
    steps = [step for step, label in enumerate(labels) if label == "input"]
    names = [*leaves, *[f"constant.{i}" for i in range(len(steps) - len(leaves))]]
    return dict(zip(steps, names, strict=True))


def array_of(node: GraphNode, raw: bytes) -> NDArray[Any]:
    """The elements of a node: bfloat16 as float32, quantised ones as bytes."""
    bytes_ = np.frombuffer(raw, np.uint8)
    if node.dtype.is_quantized:
        return bytes_.copy()
    if node.dtype is dtypes.bfloat16:
        wide: NDArray[Any] = (bytes_.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        return wide.reshape(node.shape)
    array: NDArray[Any] = bytes_.view(np.dtype(node.dtype.numpy)).reshape(node.shape).copy()
    return array


class Observation:
    """A function that sees the nodes whose names match a pattern, of every graph that runs in its block.

    ArgumentError at the end of the block if graphs ran, and none of their nodes matched.
    """

    def __init__(self, see: See, where: str = "*") -> None:
        self.see = see
        self.where = where
        self._tokens: list[Any] = []
        self._not_matched: str | None = None  # a node that ran, as long as none has matched
        self._has_matched = False

    def wants(self, node: GraphNode) -> bool:
        if node.is_view:
            return False
        is_wanted = fnmatch.fnmatchcase(node.name, self.where)
        self._has_matched |= is_wanted
        self._not_matched = node.name
        return is_wanted

    def __enter__(self) -> Observation:
        self._tokens.append(_active.set((*_active.get(), self)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _active.reset(self._tokens.pop())
        if kind is None and self._not_matched is not None and not self._has_matched:
            raise ArgumentError("observe", repr(self.where), f"matches no node that ran, such as {self._not_matched}")


_active: ContextVar[tuple[Observation, ...]] = ContextVar("observations", default=())
_is_inside: ContextVar[bool] = ContextVar("is_inside", default=False)


def active() -> tuple[Observation, ...]:
    """The observations of the blocks that this thread or task is in."""
    return _active.get()


def refuse_inside() -> None:
    """GgmlError inside of an observer: what it computes would wait for the graph that waits for it."""
    if _is_inside.get():
        raise GgmlError("observe: an observer cannot compute while the graph that it watches runs; use numpy")


def watch(
    program: Runnable, observations: Sequence[Observation]
) -> tuple[Callable[[int, bytes], object] | None, list[int]]:
    """What the native graph calls, and for which nodes."""
    refuse_inside()
    nodes = list_nodes(program)
    wanted = [node.index for node in nodes if any(one.wants(node) for one in observations)]
    if not wanted:
        return None, []

    def see(index: int, raw: bytes) -> None:
        node = nodes[index]
        token = _is_inside.set(True)
        try:
            for one in observations:
                if one.wants(node):
                    one.see(node.name, node.op, node.shape, array_of(node, raw))
        finally:
            _is_inside.reset(token)

    return see, wanted

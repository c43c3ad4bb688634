"""Computing nodes: one native graph for each shape of graph that was seen, kept for the next time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ggml import observing
from ggml.arena import own_all
from ggml.devices import Device
from ggml.dtypes import BF16, F16, F32
from ggml.errors import (
    CancelledError,
    ClosedTensorError,
    DivisionByZeroError,
    IndexOutOfRangeError,
    OutOfMemoryError,
    TracingError,
)
from ggml.lowering.builder import Builder
from ggml.lowering.value import Value
from ggml.node import Node
from worker_native import Buffer, Graph

_MAX_GRAPHS = 256
_MAX_BYTES = 256 << 20

_HALF = (F16, BF16)


@dataclass(frozen=True, slots=True)
class Plan:
    """The pending part of a graph, in an order in which it can be computed.

    Two plans with equal ``key`` differ only in the contents of their leaves.
    """

    leaves: list[Node]
    pending: list[Node]
    outputs: list[int]  # places in leaves + pending
    key: Hashable


@dataclass(frozen=True, slots=True)
class Program:
    """A native graph, and the memory that goes into it beside the leaves."""

    graph: Graph
    num_leaves: int
    constants: list[Buffer]  # its inputs after the leaves
    step_ops: list[str]  # the operation that each step belongs to, for messages
    words: NDArray[np.int64]  # the steps

    def run(self, leaves: list[Buffer], device: Device) -> list[Buffer]:
        """One buffer for each output. Python is not called while it computes, save for observers."""
        watching = observing.active()
        try:
            if watching:
                observe, wanted = observing.watch(self, watching)
                return own_all(self.graph.run(leaves + self.constants, observe, wanted))
            return own_all(self.graph.run(leaves + self.constants))
        except IndexError as error:
            raise IndexOutOfRangeError(self.step_ops[error.args[1]], error.args[0]) from None
        except ZeroDivisionError as error:
            raise DivisionByZeroError(self.step_ops[error.args[1]]) from None
        except InterruptedError:
            raise CancelledError from None
        except ValueError:
            if any(buffer.is_closed for buffer in leaves):
                raise ClosedTensorError("eval") from None
            raise
        except MemoryError as error:
            raise out_of_memory(error, device) from None


def out_of_memory(error: MemoryError, device: Device) -> OutOfMemoryError:
    """What the native library says, with the sizes."""
    why, requested = (*error.args, 0, 0)[:2] if error.args else ("none is left", 0)
    return OutOfMemoryError(requested, device.memory_bytes[0], str(device), str(why))


def plan(outputs: Sequence[Node]) -> Plan:
    """What has to be computed for these nodes. Linear in their number; never recurses."""
    places: dict[int, int] = {}
    leaves, pending = _ordered(outputs)
    for node in (*leaves, *pending):
        places[id(node)] = len(places)
    steps = tuple(
        (node.op.index, node.params, node.dtype.name, node.shape, *[places[id(source)] for source in node.inputs])
        for node in pending
        if node.op is not None
    )
    specs = tuple((node.shape, node.dtype.name) for node in leaves)
    wanted = [places[id(node)] for node in outputs]
    return Plan(leaves, pending, wanted, (outputs[0].device.native, specs, steps, tuple(wanted)))


def _ordered(outputs: Sequence[Node]) -> tuple[list[Node], list[Node]]:
    """Leaves and pending nodes, sources before what uses them."""
    leaves: list[Node] = []
    pending: list[Node] = []
    seen: set[int] = set()
    stack = [(node, False) for node in reversed(outputs)]
    while stack:
        node, is_ready = stack.pop()
        if is_ready:
            pending.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            if node.op is None:
                leaves.append(node)
            else:
                stack.append((node, True))
                stack += [(source, False) for source in node.inputs if id(source) not in seen]
    return leaves, pending


@dataclass(frozen=True, slots=True)
class Lowered:
    """A plan in the words of the native graph."""

    words: NDArray[np.int64]
    outputs: NDArray[np.int64]
    constants: list[Buffer]
    step_ops: list[str]


def compile_plan(todo: Plan, device: Device) -> Program:
    """Lower each node, and build the native graph."""
    observing.refuse_inside()
    lowered = lower_plan(todo, device)
    graph = Graph(device.native, lowered.words, lowered.outputs)
    return Program(graph, len(todo.leaves), lowered.constants, lowered.step_ops, lowered.words)


def lower_plan(todo: Plan, device: Device) -> Lowered:
    """Lower each node, without building anything."""
    builder = Builder(device)
    values: dict[int, Value] = {}
    for node in todo.leaves:
        values[id(node)] = builder.program.input(node.shape, node.dtype.ggml_type)
    for node in todo.pending:
        values[id(node)] = _lower(builder, node, [values[id(source)] for source in node.inputs])
    nodes = [*todo.leaves, *todo.pending]
    outputs = np.array([_output(builder, values[id(nodes[place])]) for place in todo.outputs], np.int64)
    return Lowered(builder.program.array(), outputs, builder.program.constants, builder.step_ops())


def _lower(builder: Builder, node: Node, values: list[Value]) -> Value:
    row = node.op
    assert row is not None and row.lower is not None
    builder.begin(row.name)
    if row.widens:
        values = [builder.cast(value, F32) if value.type in _HALF else value for value in values]
    result = row.lower(builder, values, node.params, node)
    assert result.shape == node.shape, f"{row.name}: lowered to {result.shape} instead of {node.shape}"
    return builder.cast(result, node.dtype.ggml_type)


def _output(builder: Builder, value: Value) -> int:
    builder.begin("result")
    step = builder.own(value).step
    if step in builder.claimed:
        step = builder.duplicate(value).step
    builder.claimed.add(step)
    return step


class GraphCache:
    """Programs by key, the least recently used dropped first. Thread-safe."""

    def __init__(self) -> None:
        self._programs: OrderedDict[Hashable, Program] = OrderedDict()
        self._lock = threading.Lock()
        self._num_bytes = 0

    def program(self, todo: Plan, device: Device) -> Program:
        with self._lock:
            found = self._programs.get(todo.key)
            if found is not None:
                self._programs.move_to_end(todo.key)
                return found
        try:
            built = compile_plan(todo, device)
        except MemoryError as error:
            raise out_of_memory(error, device) from None
        with self._lock:
            self._keep(todo.key, built)
        return built

    def _keep(self, key: Hashable, built: Program) -> None:
        if key in self._programs:
            return
        self._programs[key] = built
        self._num_bytes += built.graph.num_bytes
        while len(self._programs) > _MAX_GRAPHS or (self._num_bytes > _MAX_BYTES and len(self._programs) > 1):
            _, dropped = self._programs.popitem(last=False)
            self._num_bytes -= dropped.graph.num_bytes

    def clear(self) -> None:
        with self._lock:
            self._programs.clear()
            self._num_bytes = 0

    def __len__(self) -> int:
        return len(self._programs)


CACHE = GraphCache()


def compute(nodes: Sequence[Node], op: str = "eval") -> None:
    """Give each node its memory. Nodes of different devices are computed apart."""
    todo = list({id(node): node for node in nodes if node.buffer is None}.values())
    for device in dict.fromkeys(node.device for node in todo):
        _compute_on(device, [node for node in todo if node.device == device], op)


def _compute_on(device: Device, nodes: list[Node], op: str) -> None:
    todo = plan(nodes)
    buffers = [node.buffer for node in todo.leaves]
    known = [buffer for buffer in buffers if buffer is not None]
    if len(known) != len(buffers):
        raise TracingError(op)
    program = CACHE.program(todo, device)
    for node, buffer in zip(nodes, program.run(known, device), strict=True):
        node.settle(buffer)

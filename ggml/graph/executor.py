"""Computing nodes: one native graph for each shape of graph that was seen, kept for the next time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ggml.core.devices import Device, refuse_elsewhere
from ggml.core.dtypes import BF16, F16, F32
from ggml.core.errors import (
    CancelledError,
    ClosedTensorError,
    DivisionByZeroError,
    ForkedProcessError,
    GgmlError,
    IndexOutOfRangeError,
    OutOfMemoryError,
    TracingError,
)
from ggml.core.forking import renew_after_fork
from ggml.core.memory import own_all
from ggml.core.node import OWN, Node, Recipe
from ggml.graph import observers
from ggml.graph.builder import Builder
from ggml.graph.program import Steps
from ggml.graph.value import Value
from worker_native import Buffer, ForkedError, Graph, OccupiedError

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
    recipes: list[Recipe]  # of the pending nodes; another thread may settle a node at any time
    outputs: list[int]  # places in leaves + pending
    key: Hashable


@dataclass(frozen=True, slots=True)
class Program:
    """A native graph, and the memory that goes into it beside the leaves."""

    graph: Graph
    num_leaves: int
    constants: list[Buffer]  # its inputs after the leaves
    step_ops: list[str]  # the operation that each step belongs to, for messages
    steps: Steps

    def run(self, leaves: list[Buffer], device: Device) -> list[Buffer]:
        """One buffer for each output. Python is not called while it computes, save for observers."""
        watching = observers.active()
        try:
            if watching:
                observe, wanted = observers.watch(self, watching)
                return own_all(self.graph.run(leaves + self.constants, observe, wanted))
            return own_all(self.graph.run(leaves + self.constants))
        except IndexError as error:
            raise IndexOutOfRangeError(self.step_ops[error.args[1]], error.args[0]) from None
        except ZeroDivisionError as error:
            raise DivisionByZeroError(self.step_ops[error.args[1]]) from None
        except InterruptedError:
            raise CancelledError from None
        except (ForkedError, OccupiedError) as error:
            raise misplaced(error) from None
        except ValueError:
            if any(buffer.is_closed for buffer in leaves):
                raise ClosedTensorError("eval") from None
            raise
        except MemoryError as error:
            raise out_of_memory(error, device) from None


def misplaced(error: ForkedError | OccupiedError, op: str = "eval") -> GgmlError:
    """What the native library says of work in the wrong process, or inside of a run."""
    if isinstance(error, OccupiedError):
        return GgmlError(f"{op}: {error}")
    device, _, why = str(error).partition(": ")
    return ForkedProcessError(op, device, why)


def out_of_memory(error: MemoryError, device: Device) -> OutOfMemoryError:
    """What the native library says, with the sizes."""
    why, requested = (*error.args, 0, 0)[:2] if error.args else ("none is left", 0)
    return OutOfMemoryError(requested, device.memory_bytes[0], str(device), str(why))


def plan(outputs: Sequence[Node]) -> Plan:
    """What has to be computed for these nodes. Linear in their number; never recurses."""
    places: dict[int, int] = {}
    leaves, pending, recipes = _ordered(outputs)
    for node in (*leaves, *pending):
        places[id(node)] = len(places)
    steps = tuple(
        [
            (row.index, params, node.dtype.name, node.shape, *[places[id(source)] for source in inputs])
            for node, (row, inputs, params) in zip(pending, recipes, strict=True)
        ]
    )
    specs = tuple((node.shape, node.dtype.name) for node in leaves)
    wanted = [places[id(node)] for node in outputs]
    return Plan(leaves, pending, recipes, wanted, (outputs[0].device.native, specs, steps, tuple(wanted)))


def _ordered(outputs: Sequence[Node]) -> tuple[list[Node], list[Node], list[Recipe]]:
    """Leaves, and pending nodes with what makes them, sources before what uses them."""
    leaves: list[Node] = []
    pending: list[Node] = []
    recipes: list[Recipe] = []
    seen: set[int] = set()
    stack: list[tuple[Node, Recipe | None]] = [(node, None) for node in reversed(outputs)]
    while stack:
        node, recipe = stack.pop()
        if recipe is not None:
            pending.append(node)
            recipes.append(recipe)
        elif id(node) not in seen:
            seen.add(id(node))
            recipe = node.recipe
            if recipe is None:
                leaves.append(node)
            else:
                stack.append((node, recipe))
                stack += [(source, None) for source in recipe[1] if id(source) not in seen]
    return leaves, pending, recipes


@dataclass(frozen=True, slots=True)
class Lowered:
    """A plan in the words of the native graph."""

    steps: Steps
    outputs: NDArray[np.int64]
    constants: list[Buffer]
    step_ops: list[str]


def compile_plan(todo: Plan, device: Device) -> Program:
    """Lower each node, and build the native graph."""
    observers.refuse_inside()
    lowered = lower_plan(todo, device)
    graph = Graph(device.native, *lowered.steps, lowered.outputs)
    return Program(graph, len(todo.leaves), lowered.constants, lowered.step_ops, lowered.steps)


def lower_plan(todo: Plan, device: Device) -> Lowered:
    """Lower each node, without building anything."""
    builder = Builder(device)
    values: dict[int, Value] = {}
    for node in todo.leaves:
        values[id(node)] = builder.program.input(node.shape, node.dtype.ggml_type)
    for node, recipe in zip(todo.pending, todo.recipes, strict=True):
        values[id(node)] = _lower(builder, node, recipe, [values[id(source)] for source in recipe[1]])
    nodes = [*todo.leaves, *todo.pending]
    outputs = np.array([_output(builder, values[id(nodes[place])]) for place in todo.outputs], np.int64)
    return Lowered(builder.program.steps(), outputs, builder.program.constants, builder.step_ops())


def _lower(builder: Builder, node: Node, recipe: Recipe, values: list[Value]) -> Value:
    row, _, params = recipe
    assert row.lower is not None
    builder.begin(row.name)
    if row.widens:
        values = [builder.cast(value, F32) if value.type in _HALF else value for value in values]
    result = row.lower(builder, values, params, node)
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
        self._num_bytes = 0
        renew_after_fork(self)

    def renew_lock(self) -> None:
        self._lock = threading.RLock()  # a signal handler may come in at any time

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
        except (ForkedError, OccupiedError) as error:
            raise misplaced(error) from None
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


def compute(nodes: Sequence[Node], op: str = "eval", stop: Stop | None = None) -> None:
    """Give each node its memory. Nodes of different devices are computed apart.

    A view of memory that others may write to stays a view: only what is made of it can be kept.
    """
    todo = list({id(node): node for node in nodes if node.buffer is None and not _looks_on(node)}.values())
    for device in dict.fromkeys(node.device for node in todo):
        here = [node for node in todo if node.device == device]
        for node, buffer in zip(here, _compute_on(device, here, op, stop), strict=True):
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


def needs_arguments(node: Node) -> bool:
    """Whether the node is part of a function that is being traced, and cannot be computed."""
    return any(leaf.is_placeholder for leaf in _ordered([node])[0])


def _compute_on(device: Device, nodes: list[Node], op: str, stop: Stop | None = None) -> list[Buffer]:
    refuse_elsewhere(device, op)
    todo = plan(nodes)
    buffers = [node.buffer for node in todo.leaves]
    known = [buffer for buffer in buffers if buffer is not None]
    if len(known) != len(buffers):
        raise TracingError(op)
    program = CACHE.program(todo, device)
    if stop is not None:
        stop.watch(program.graph)
    return program.run(known, device)

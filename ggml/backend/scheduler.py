"""One graph under a scheduler of its own: what it holds, where it runs, and running it while watching."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ggml.backend.capture import Capture, capture, moved
from ggml.backend.plan import SplitPlan, cut
from ggml.core.devices import Device, device
from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.core.node import leaf
from ggml.graph.executable import Executable, out_of_memory
from ggml.graph.observers import GraphNode, Observation, See, list_nodes, refuse_inside
from ggml.tensors.tensor import Tensor, wrap
from worker_native import Buffer, Graph

Place = Device | str


class Scheduler:
    """The graph of a function (or module, or lazy tensor) for these inputs, placed on devices.

    ``on`` is where inputs and results lie (the graph's own device if left out; tensors that lie elsewhere are
    copied). ``others`` are devices that nodes may be pinned to; the CPU always is one. Splitting and pinning come
    first; ``allocate`` (or ``run``) fixes the placement. Thread-safe once allocated; one run at a time.
    """

    def __init__(self, graph: Any, *inputs: Any, on: Place | None = None, others: Iterable[Place] = ()) -> None:
        self._capture = graph if isinstance(graph, Capture) else capture(graph, inputs)
        self.device = self._capture.device if on is None else device(on)
        self._others = tuple(device(one) for one in others)
        writing_for = next((one for one in (self.device, *self._others) if not one.is_cpu), self.device)
        self._lowered = self._capture.lower(writing_for)
        self._leaves = [moved(one, self.device) for one in self._capture.leaves]
        self._constants = [moved(one, self.device) for one in self._lowered.constants]
        self._pins: dict[int, Device] = {}
        self._plan: Executable | None = None
        self._program: Executable | None = None

    # Before it is allocated

    def pin(self, node: GraphNode | str, where: Place) -> None:
        """Compute a node, or every node whose name matches a pattern, on a device.

        ArgumentError for a device that takes no part, for views and inputs, for kernels of this library off the
        CPU, and once the graph is allocated.
        """
        target = device(where)
        if self._program is not None:
            raise ArgumentError("pin", "the graph", "is allocated; pin before allocate() and run()")
        if not target.is_cpu and target not in (self.device, *self._others):
            raise ArgumentError("pin", str(target), "takes no part; name it in others=")
        before = dict(self._pins)
        self._pins |= {one.step: target for one in self._matching(node, target)}
        try:
            self._plan = self._build(is_plan=True)
        except (ValueError, RuntimeError) as error:
            self._pins = before
            raise ArgumentError("pin", str(getattr(node, "name", node)), str(error)) from None

    def split(self) -> SplitPlan:
        """How the graph would be cut, or is. Nothing is allocated by this."""
        program = self._seen()
        nodes = list_nodes(program, self._capture.leaf_names)
        sizes = dict(program.graph.buffer_bytes())
        backends = tuple(one.native for one in self._devices())
        return SplitPlan(cut(nodes), backends, program.graph.num_splits, sizes or None)

    def allocate(self) -> None:
        """Fix the placement, and take the memory of the intermediate results."""
        if self._program is None:
            self._program = self._build(is_plan=False)
            self._plan = None

    # What it holds

    @property
    def nodes(self) -> list[GraphNode]:
        """Every node, in the order in which they run."""
        return list_nodes(self._seen(), self._capture.leaf_names)

    @property
    def n_nodes(self) -> int:
        return self._seen().graph.num_nodes

    @property
    def n_splits(self) -> int:
        return self._seen().graph.num_splits

    @property
    def n_copies(self) -> int:
        """Copies of the inputs that ggml keeps for running several at once: 1, as graphs run one after the other."""
        return self._seen().graph.num_copies

    @property
    def backends(self) -> list[str]:
        """ggml's names of the devices that take part, the most wanted first."""
        return [one.native for one in self._devices()]

    @property
    def n_backends(self) -> int:
        return len(self._devices())

    @property
    def buffer_sizes(self) -> dict[str, int]:
        """Bytes of intermediate results by device, once allocated."""
        self.allocate()
        return dict(self._seen().graph.buffer_bytes())

    def reserve_size(self) -> dict[str, int] | None:
        """Bytes that the intermediate results would take by device; None if nodes are pinned. Allocates nothing."""
        return self.split().reserve_bytes

    def placement(self, node: GraphNode | str) -> str:
        """ggml's name of the device that computes a node."""
        name = node if isinstance(node, str) else node.name
        for one in self.nodes:
            if one.name == name:
                return one.device
        raise ArgumentError("placement", repr(name), "is no node of the graph; see .nodes")

    # Running it

    def run(self, *inputs: Tensor) -> Any:
        """The results for the inputs of the constructor, or for others of the same shapes, dtypes and order."""
        self.allocate()
        assert self._program is not None
        buffers = self._program.run(self._given(inputs), self.device)
        specs = zip(buffers, self._capture.specs, strict=True)
        return self._capture.build([wrap(leaf(shape, dtype, self.device, one)) for one, (shape, dtype) in specs])

    async def run_async(self, *inputs: Tensor) -> Any:
        """``run`` that can be awaited: another thread waits for ggml, which computes without the GIL."""
        return await asyncio.to_thread(self.run, *inputs)

    def observe(self, see: See, where: str = "*") -> Observation:
        """For ``with``: in the block ``see(name, op, shape, value)`` is called for nodes whose names match.

        What it raises ends the run and is raised by ``run``. It must not compute with ggml. Other graphs that run in
        the block are seen as well.
        """
        return Observation(see, where)

    def cancel(self) -> bool:
        """End the run that another thread is in, which raises CancelledError; False if there is none."""
        return self._program is not None and self._program.graph.cancel()

    @contextmanager
    def copy_to(self, where: Place) -> Iterator[Scheduler]:
        """The same graph with copies of its inputs on another device, freed at the end of the block."""
        copy = Scheduler(self._capture, on=where, others=self._others)
        try:
            yield copy
        finally:
            copy.close()

    def close(self) -> None:
        """Free the graph, and what it copied. The tensors that it was made of stay."""
        for buffer, original in zip(self._leaves, self._capture.leaves, strict=True):
            if buffer is not original:
                buffer.close()
        self._plan = self._program = None

    # Inside

    def _devices(self) -> list[Device]:
        rest = [one for one in dict.fromkeys(self._others) if not one.is_cpu and one != self.device]
        first = [] if self.device.is_cpu else [self.device]
        return [*first, *rest, device("cpu")]

    def _seen(self) -> Executable:
        if self._program is not None:
            return self._program
        if self._plan is None:
            self._plan = self._build(is_plan=True)
        return self._plan

    def _build(self, is_plan: bool) -> Executable:
        refuse_inside()
        one = self._lowered
        others = [other.native for other in self._others]
        pins = [(step, where.native) for step, where in self._pins.items()]
        try:
            graph = Graph(self.device.native, *one.steps, one.outputs, others, pins, is_plan)
        except MemoryError as error:
            raise out_of_memory(error, self.device) from None
        return Executable(graph, len(self._leaves), self._constants, one.step_ops, one.steps, one.outputs)

    def _matching(self, node: GraphNode | str, target: Device) -> list[GraphNode]:
        if isinstance(node, GraphNode):
            return [node]
        found = [one for one in self.nodes if fnmatch.fnmatchcase(one.name, node) and not one.is_view]
        if not found:
            raise ArgumentError("pin", repr(node), "matches no node that is computed; see .nodes")
        if node not in [one.name for one in found] and not target.is_cpu:
            found = [one for one in found if not _is_kernel(one)]  # a pattern takes what can go there
        return found

    def _given(self, inputs: tuple[Tensor, ...]) -> list[Buffer]:
        if not inputs:
            return self._leaves
        wanted = self._capture.arguments
        if len(inputs) != len(wanted):
            raise ShapeMismatchError("run", f"{len(wanted)} tensors", len(inputs))
        buffers = list(self._leaves)
        for given, node, place in zip(inputs, wanted, self._capture.places, strict=True):
            if given._node.shape != node.shape or given._node.dtype is not node.dtype:
                raise ShapeMismatchError("run", f"{node.dtype} {node.shape}", f"{given.dtype} {given._node.shape}")
            if place is not None:
                buffers[place] = moved(given.buffer(), self.device)
        return buffers


def _is_kernel(node: GraphNode) -> bool:
    return ":" in node.op or node.op.islower()


def split(graph: Any, *inputs: Any, on: Place | None = None, others: Iterable[Place] = ()) -> SplitPlan:
    """How ggml would cut the graph of a function or lazy tensor over devices. Nothing is allocated or computed."""
    return Scheduler(graph, *inputs, on=on, others=others).split()

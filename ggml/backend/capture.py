"""The graph of one call: what is recorded, and the memory that it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ggml.core import tracing
from ggml.core.devices import Device, allocate
from ggml.core.errors import ArgumentError, DeviceMismatchError, TracingError
from ggml.core.memory import outside
from ggml.core.node import Node
from ggml.graph import executor
from ggml.graph.lowering import Lowered, lower_plan
from ggml.graph.plan import Plan, plan
from ggml.tensors.compiled import Compiled, _form
from ggml.tensors.tensor import Tensor
from worker_native import Buffer


@dataclass(frozen=True, slots=True)
class Capture:
    """The pending graph of some results. ``leaves`` are the tensors' memory that it reads, in the graph's order."""

    plan: Plan
    device: Device
    leaves: list[Buffer]
    places: list[int | None]  # where each argument lies among the leaves; None if it is not read
    arguments: list[Node]
    specs: list[tuple[Any, Any]]  # shape and dtype of each result
    build: Callable[[list[Tensor]], Any]  # the results in the form that the function returned

    @property
    def leaf_names(self) -> list[str]:
        """ "input.0" is the first argument, "held.0" the first tensor that the function itself holds."""
        names = {place: f"input.{number}" for number, place in enumerate(self.places) if place is not None}
        held = iter(range(len(self.leaves)))
        return [names.get(place) or f"held.{next(held)}" for place in range(len(self.leaves))]

    def lower(self, device: Device) -> Lowered:
        """Its steps, as they would be written for a device."""
        return lower_plan(self.plan, device)


def capture(graph: Any, inputs: tuple[Any, ...]) -> Capture:
    """Record what a function makes of these inputs, or take a lazy tensor for its pending graph.

    A module, or what ``ggml.compile`` made, counts as a function. Nothing is computed but the inputs themselves.
    """
    if isinstance(graph, Tensor):
        if inputs:
            raise ArgumentError("capture", "inputs", "are given by the tensor itself")
        result: Any = graph
    elif callable(graph):
        function = graph.function if isinstance(graph, Compiled) else graph
        arguments = _tensors(inputs)
        executor.compute([one._node for one in arguments])
        with outside(), tracing.recording():
            result = function(*inputs)
    else:
        raise ArgumentError("capture", "graph", "is neither a tensor nor callable")
    outputs: list[Tensor] = []
    build = _form(result, outputs)
    if not outputs:
        raise ArgumentError("capture", "the function", "returned no tensor")
    return _captured(outputs, build, [one._node for one in _tensors(inputs)])


def _captured(outputs: list[Tensor], build: Callable[[list[Tensor]], Any], arguments: list[Node]) -> Capture:
    todo = plan([one._node for one in outputs])
    device = outputs[0]._node.device
    if any(node.device != device for node in (*todo.leaves, *[one._node for one in outputs])):
        raise DeviceMismatchError("capture", tuple(dict.fromkeys(str(node.device) for node in todo.leaves)))
    leaves = []
    for node in todo.leaves:
        if node.buffer is None:
            raise TracingError("capture")
        leaves.append(node.buffer)
    by_node = {id(node): place for place, node in enumerate(todo.leaves)}
    places = [by_node.get(id(node)) for node in arguments]
    specs = [(one._node.shape, one._node.dtype) for one in outputs]
    return Capture(todo, device, leaves, places, arguments, specs, build)


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [one for item in value for one in _tensors(item)]
    return []


def moved(buffer: Buffer, device: Device) -> Buffer:
    """The buffer, or a copy of it on the device."""
    if buffer.device == device.native:
        return buffer
    target = allocate(device, buffer.num_bytes)
    target.copy_from(buffer)
    return target

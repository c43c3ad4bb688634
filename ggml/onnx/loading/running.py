"""One call of a loaded model: its nodes in their order, and the graphs within them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.devices import Device
from ggml.core.errors import ArgumentError, FileFormatError, GgmlError
from ggml.onnx.call import Call
from ggml.onnx.element_types import to_tensor
from ggml.onnx.limits import MAX_STEPS, need_few
from ggml.onnx.loading import host
from ggml.onnx.loading.node import Body, Graph, OnnxNode
from ggml.onnx.subgraph import Operand, Subgraph
from ggml.onnx.table import FROM_ONNX
from ggml.tensors.tensor import Tensor


class Scope:
    """The values of one graph by name; ``outer`` has those of the graph around it."""

    __slots__ = ("outer", "own")

    def __init__(self, own: dict[str, Operand], outer: Scope | None = None) -> None:
        self.own, self.outer = own, outer

    def find(self, name: str) -> Operand | None:
        """The value of that name, or None."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.own:
                return scope.own[name]
            scope = scope.outer
        return None


class Run:
    """``lifted`` keeps constants of the file as tensors from one call to the next."""

    def __init__(
        self, opset: int, device: Device, constants: Mapping[str, NDArray[Any]], lifted: dict[str, Tensor]
    ) -> None:
        self.opset, self.device = opset, device
        self._constants, self._lifted = constants, lifted
        self._steps = 0

    def graph(self, graph: Graph, scope: Scope) -> list[Operand]:
        """The outputs of a graph. What no node reads any more is let go of."""
        for place, node in enumerate(graph.nodes):
            results = self._node(node, scope)
            scope.own.update(zip(node.outputs, results, strict=False))
            for name in node.reads:
                if graph.last.get(name) == place:
                    scope.own.pop(name, None)
        return [self._found(name, "the outputs", scope) for name in graph.outputs]

    def _found(self, name: str, where: str, scope: Scope) -> Operand:
        found = scope.find(name)
        if found is None:
            raise FileFormatError(where, name, "is a value that no node makes")
        return found

    def _node(self, node: OnnxNode, scope: Scope) -> tuple[Any, ...]:
        given: list[Operand | None] = [
            self._found(name, node.where, scope) if name else None for name in node.inputs
        ]  # fmt: skip
        where = next((one.device for one in given if isinstance(one, Tensor)), self.device)
        if any(isinstance(one, Tensor) for one in given):  # constants that meet tensors are made tensors once
            given = [self._lift(name, one, where) for name, one in zip(node.inputs, given, strict=True)]
        attributes = {
            name: self._bound(one, node, scope) if isinstance(one, Body) else one
            for name, one in node.attributes.items()
        }
        call = Call(node.op, node.where, self.opset, given, attributes, len(node.outputs), where)
        try:
            found = host.run(call)
            result: Any = FROM_ONNX[node.op](call) if found is None else found
        except GgmlError as error:
            error.add_note(f"in {node.where}")
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, MemoryError) as error:
            raise ArgumentError(node.where, "an operand or attribute", f"is of no use: {error}") from error
        results = result if isinstance(result, tuple) else (result,)
        for one in results:
            if isinstance(one, np.ndarray):
                need_few(node.where, one.shape)
        return results

    def _bound(self, body: Body, node: OnnxNode, outer: Scope) -> Subgraph:
        """A graph of a node as its operation calls it."""

        def run(operands: Sequence[Operand]) -> list[Operand]:
            self._count(1 + len(body.graph.nodes), node)
            names = [one.name for one in body.inputs]
            return self.graph(body.graph, Scope(dict(zip(names, operands, strict=True)), outer))

        return Subgraph(body.inputs, body.outputs, run)

    def _count(self, steps: int, node: OnnxNode) -> None:
        """ArgumentError where a loop does not come to an end."""
        self._steps += steps
        if self._steps > MAX_STEPS:
            raise ArgumentError(node.where, "the loop", f"does not end within {MAX_STEPS} nodes, the most of one call")

    def _lift(self, name: str, value: Operand | None, device: Device) -> Operand | None:
        """A constant of the file that is large enough to be worth keeping as a tensor."""
        if not isinstance(value, np.ndarray) or name not in self._constants or value.size < 64:
            return value
        found = self._lifted.get(name)
        if found is None or found.device != device:
            found = self._lifted[name] = to_tensor(value, device)
        return found

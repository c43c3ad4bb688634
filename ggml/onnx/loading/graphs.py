"""Graphs of a file, and graphs within their nodes, as nodes to run.

A graph within a node sees the names of the graphs around it, and may not give one of them to a value of its own, as
the specification has it. Its weights become the model's, under names that no other value has, so that they are
parameters like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import onnx

from ggml.core.errors import FileFormatError, UnsupportedOpError
from ggml.onnx.loading import files
from ggml.onnx.loading.node import Body, Graph, OnnxNode
from ggml.onnx.subgraph import Value
from ggml.onnx.table import FROM_ONNX

#: Domains of ONNX's own operations.
FAMILIES = ("", "ai.onnx")


class Reader:
    """``weights`` gets the initializers of inner graphs while ``graph`` reads the outermost one."""

    def __init__(self, name: str, model: onnx.ModelProto, weights: files.Weights, opset: int) -> None:
        self.name, self.weights, self.opset = name, weights, opset
        self._model = model
        graphs = list(files.graphs(name, model.graph))
        self._defined = Counter(one for graph in graphs for one in _definitions(graph))
        self._visible: set[str] = set()
        self._renamed: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._need_known(graphs)

    def graph(self) -> Graph:
        """The model's own graph."""
        graph = self._model.graph
        self._visible.update(self.weights, (one.name for one in graph.input))
        return self._read(graph, [])

    def _need_known(self, graphs: list[onnx.GraphProto]) -> None:
        """UnsupportedOpError that names all that are not in the table, each operation with its first node."""
        unknown: dict[tuple[str, str], str] = {}
        for graph in graphs:
            for node in graph.node:
                if node.domain not in FAMILIES or node.op_type not in FROM_ONNX:
                    unknown.setdefault((node.domain, node.op_type), self._where(node))
        if unknown:
            raise UnsupportedOpError(
                ", ".join(unknown.values()), "ggml", "docs/ggml/onnx.md lists the operations that load knows"
            )

    def _where(self, node: onnx.NodeProto) -> str:
        domain = f"{node.domain}." if node.domain else ""
        first = node.name or (node.output[0] if node.output else "")
        return f"{domain}{node.op_type} (node {first!r}, opset {self.opset})"

    def _read(self, graph: onnx.GraphProto, own: list[str]) -> Graph:
        """The nodes of a graph. ``own`` gets the names that they make."""
        nodes = []
        for proto in graph.node:
            nodes.append(self._node(proto))
            for name in proto.output:
                if name:
                    self._define(name, own, nodes[-1].where)
        for one in graph.output:
            if one.name not in self._visible:
                raise FileFormatError(self.name, one.name, "is an output that no node makes")
        return Graph(nodes, [self._full(one.name) for one in graph.output])

    def _define(self, name: str, own: list[str], where: str) -> None:
        if name in self._visible:
            raise FileFormatError(self.name, name, f"is made by {where}, where the name is another value's already")
        self._visible.add(name)
        own.append(name)

    def _full(self, name: str) -> str:
        return self._renamed.get(name, name)

    def _node(self, node: onnx.NodeProto) -> OnnxNode:
        where = self._where(node)
        for name in node.input:
            if name and name not in self._visible:
                raise FileFormatError(self.name, name, f"is read by {where} before a node makes it")
        attributes = {one.name: self._value(one, where) for one in node.attribute}
        bodies = [one for one in attributes.values() if isinstance(one, Body)]
        captured = dict.fromkeys(name for body in bodies for name in body.captured)
        inputs = tuple(self._full(name) for name in node.input)
        return OnnxNode(node.op_type, where, inputs, tuple(node.output), attributes, tuple(captured))

    def _value(self, attribute: onnx.AttributeProto, where: str) -> Any:
        """An attribute as Python's or numpy's value."""
        kind = attribute.type
        if kind == onnx.AttributeProto.TENSOR:
            return files.array(self.name, attribute.t)
        if kind == onnx.AttributeProto.GRAPH:
            return self._body(attribute.g, f"{attribute.name} of {where}")
        if kind in (onnx.AttributeProto.STRING, onnx.AttributeProto.STRINGS):
            raw = [attribute.s] if kind == onnx.AttributeProto.STRING else list(attribute.strings)
            texts = [one.decode("utf-8", "replace") for one in raw]
            return texts[0] if kind == onnx.AttributeProto.STRING else texts
        plain: dict[int, Callable[[], Any]] = {
            onnx.AttributeProto.FLOAT: lambda: attribute.f,
            onnx.AttributeProto.INT: lambda: attribute.i,
            onnx.AttributeProto.FLOATS: lambda: list(attribute.floats),
            onnx.AttributeProto.INTS: lambda: list(attribute.ints),
        }
        if kind not in plain:
            why = "lists of graphs, types and sparse tensors are no attributes here"
            raise UnsupportedOpError(f"attribute {attribute.name!r} of {where}", "ggml", why)
        return plain[kind]()

    def _body(self, graph: onnx.GraphProto, where: str) -> Body:
        """A graph within a node. The names that it makes are forgotten behind it."""
        own: list[str] = []
        inputs = tuple(value_of(one, where) for one in graph.input)
        outputs = tuple(value_of(one, where) for one in graph.output)
        for one in inputs:
            self._define(one.name, own, where)
        given, weights = set(own), []
        for tensor in graph.initializer:
            if tensor.name not in given:  # an input's default, which every operation with a graph overrules
                self._define(tensor.name, own, where)
                self._renamed[tensor.name] = self._owned(tensor)
                weights.append(tensor.name)
        found = self._read(graph, own)
        local = set(own).difference(weights)
        reads = [name for node in found.nodes for name in node.reads if name]
        captured = tuple(dict.fromkeys(name for name in (*reads, *found.outputs) if name not in local))
        self._visible.difference_update(own)
        for name in weights:
            del self._renamed[name]
        return Body(found, inputs, outputs, captured)

    def _owned(self, tensor: onnx.TensorProto) -> str:
        """Make a weight of an inner graph one of the model's, under its own name where no other value has it."""
        full = name = str(tensor.name)
        while full in self.weights or self._defined[full] > (full == name):
            self._counts[name] += 1
            full = f"{name}_{self._counts[name]}"
        self.weights[full] = files.array(self.name, tensor)
        return full


def value_of(info: onnx.ValueInfoProto, where: str) -> Value:
    """What the file says of a value; UnsupportedOpError for what is no tensor."""
    kind = info.type.WhichOneof("value") or "tensor_type"
    if kind != "tensor_type":
        raise UnsupportedOpError(where, "ggml", f"{info.name!r} is a {kind.removesuffix('_type')}, and no tensor")
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        return Value(info.name, tensor.elem_type, None)
    extents = tuple(one.dim_value if one.HasField("dim_value") else one.dim_param or None for one in tensor.shape.dim)
    return Value(info.name, tensor.elem_type, extents)


def every_node(graph: Graph) -> Iterator[OnnxNode]:
    """The nodes of a graph, and of all graphs within them."""
    for node in graph.nodes:
        yield node
        for one in node.attributes.values():
            if isinstance(one, Body):
                yield from every_node(one.graph)


def _definitions(graph: onnx.GraphProto) -> set[str]:
    """The names that a graph gives to values of its own."""
    names = {one.name for one in (*graph.input, *graph.initializer)}
    return names.union(*(node.output for node in graph.node))

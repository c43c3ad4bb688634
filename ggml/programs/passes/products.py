"""Products with a matrix that is a weight, as linear layers: ggml multiplies rows with rows, so that such a matrix is
stored the way it is read, and may have fewer bits."""

from __future__ import annotations

import functools
from typing import NamedTuple

from ggml.programs.graph import Argument, Graph, Node, Ref, Role, TensorSpec
from ggml.programs.passes.matching import Values
from ggml.programs.passes.rewriting import Rewriter, rewritten

_PRODUCTS = ("aten.mm.default", "aten.matmul.default", "aten.addmm.default")


class _Layer(NamedTuple):
    """``input @ matrix + bias``; ``is_turned`` if the matrix is already [out, in]."""

    input: Argument
    matrix: Ref
    bias: Argument
    is_turned: bool
    matrix_spec: TensorSpec
    result: TensorSpec


def with_linear_layers(graph: Graph) -> Graph:
    """The graph with ``linear`` for products whose right side is a weight, or a weight transposed."""
    values = Values(graph)
    found = {}
    for value, node in enumerate(graph.nodes, len(graph.inputs)):
        layer = _layer(graph, values, node) if node.op in _PRODUCTS and not node.kwargs else None
        if layer is not None:
            found[value] = functools.partial(_linear, layer=layer)
    return rewritten(graph, found)


def _layer(graph: Graph, values: Values, node: Node) -> _Layer | None:
    bias = node.args[0] if node.op == "aten.addmm.default" else None
    left, right = node.args[-2:]
    if len(node.args) != (2 if bias is None else 3) or len(values.shape(left)) < 2 or not isinstance(right, Ref):
        return None
    turned = _untransposed(values, right)
    matrix = right if turned is None else turned
    spec = values.spec(matrix)
    is_weight = matrix.value < len(graph.inputs) and graph.inputs[matrix.value].role is Role.WEIGHT
    if not is_weight or spec is None or len(spec.shape) != 2 or not spec.dtype.is_floating_point:
        return None
    left_spec = values.spec(left)
    if left_spec is None or left_spec.dtype is not spec.dtype or node.specs[0].dtype is not spec.dtype:
        return None
    width = spec.shape[0 if turned is not None else 1]
    if bias is not None and values.shape(bias) != (width,):
        return None
    return _Layer(left, matrix, bias, turned is not None, spec, node.specs[0])


def _untransposed(values: Values, right: Ref) -> Ref | None:
    """The matrix whose transpose this is."""
    node = values.maker(right, "aten.t.default", "aten.transpose.int", "aten.permute.default")
    if node is None or node.kwargs or len(values.shape(right)) != 2 or not isinstance(node.args[0], Ref):
        return None
    axes = {"aten.t.default": (0, 1), "aten.transpose.int": node.args[1:]}.get(node.op, *node.args[1:2] or [()])
    turned = isinstance(axes, tuple) and [axis % 2 for axis in axes if isinstance(axis, int)]
    swaps = ([1, 0],) if node.op == "aten.permute.default" else ([0, 1], [1, 0])
    return node.args[0] if turned in swaps else None


def _linear(rewriter: Rewriter, layer: _Layer) -> Ref:
    matrix = rewriter.new(layer.matrix)
    if not layer.is_turned:
        spec = TensorSpec(layer.matrix_spec.dtype, layer.matrix_spec.shape[::-1])
        matrix = rewriter.emit("aten.t.default", (matrix,), spec)
    bias = () if layer.bias is None else (rewriter.new(layer.bias),)
    return rewriter.emit("aten.linear.default", (rewriter.new(layer.input), matrix, *bias), layer.result)

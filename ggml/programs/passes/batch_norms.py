"""Batch norms behind a convolution or a linear layer: a scale and a shift, which the weights before them can take."""

from __future__ import annotations

import functools
from typing import NamedTuple

from ggml.core.dtypes import float32
from ggml.programs.graph import Argument, Graph, Node, Ref, Role, TensorSpec
from ggml.programs.passes.matching import Values
from ggml.programs.passes.rewriting import Rewriter, rewritten

_NORM = "aten._native_batch_norm_legit_no_training.default"

_LAYERS = (
    "aten.conv1d.default", "aten.conv2d.default", "aten.conv3d.default", "aten.conv1d.padding", "aten.conv2d.padding",
    "aten.conv3d.padding", "aten.convolution.default", "aten.linear.default",
)  # fmt: skip

# Where aten.convolution says whether it is transposed: its weights then have other axes.
_TRANSPOSED = 6


class _Folding(NamedTuple):
    """A layer whose result a batch norm alone reads."""

    layer: Node
    norm: Node
    weight: TensorSpec
    result: TensorSpec


def with_folded_batch_norms(graph: Graph) -> Graph:
    """The graph in which layers have scaled weights and a bias instead. What makes those depends on weights only."""
    values = Values(graph)
    found = {}
    for value, node in enumerate(graph.nodes, len(graph.inputs)):
        if node.op == "operator.getitem" and node.args[1] == 0:
            folding = _folding(graph, values, node)
            if folding is not None:
                found[value] = functools.partial(_folded, folding=folding)
    return rewritten(graph, found)


def _folding(graph: Graph, values: Values, item: Node) -> _Folding | None:
    norm = values.maker(item.args[0], _NORM)
    layer = values.maker(norm.args[0], *_LAYERS) if norm else None
    if norm is None or layer is None or layer.kwargs or norm.kwargs or len(norm.args) != 7:
        return None
    if not isinstance(norm.args[0], Ref) or values.num_readers[norm.args[0].value] != 1 or len(layer.args) < 2:
        return None
    if layer.op == "aten.convolution.default" and layer.args[_TRANSPOSED] is not False:
        return None
    weight, result = values.spec(layer.args[1]), values.spec(norm.args[0])
    if weight is None or result is None or len(result.shape) != len(weight.shape):
        return None  # one image without a batch, or more axes before a matrix: the channels are another axis there
    fixed = [one for one in (layer.args[1], *layer.args[2:3], *norm.args[1:5]) if one is not None]
    if not all(_is_weight(graph, values, one) for one in fixed):
        return None
    return _Folding(layer, norm, weight, result)


def _is_weight(graph: Graph, values: Values, argument: Argument) -> bool:
    spec = values.spec(argument)
    is_input = isinstance(argument, Ref) and argument.value < len(graph.inputs)
    is_plain = spec is not None and spec.dtype is float32
    return is_input and is_plain and graph.inputs[argument.value].role is Role.WEIGHT  # type: ignore[union-attr]


def _folded(rewriter: Rewriter, folding: _Folding) -> Ref:
    layer, norm, weight, result = folding
    emit, vector = rewriter.emit, TensorSpec(float32, weight.shape[:1])
    gamma, beta, mean, variance, _, eps = [rewriter.new(one) for one in norm.args[1:]]
    scale: Argument = emit("aten.rsqrt.default", (emit("aten.add.Tensor", (variance, eps), vector),), vector)
    if gamma is not None:
        scale = emit("aten.mul.Tensor", (gamma, scale), vector)
    shape = (*weight.shape[:1], *[1] * (len(weight.shape) - 1))
    wide = emit("aten.view.default", (scale, shape), TensorSpec(float32, shape))
    scaled = emit("aten.mul.Tensor", (rewriter.new(layer.args[1]), wide), weight)
    bias = rewriter.new(layer.args[2]) if len(layer.args) > 2 else None
    if bias is None:
        shift: Argument = emit("aten.mul.Tensor", (mean, scale), vector)
        if beta is None:
            shift = emit("aten.neg.default", (shift,), vector)
        else:
            shift = emit("aten.sub.Tensor", (beta, shift), vector)
    else:
        shift = emit("aten.mul.Tensor", (emit("aten.sub.Tensor", (bias, mean), vector), scale), vector)
        shift = shift if beta is None else emit("aten.add.Tensor", (shift, beta), vector)
    rest = tuple([rewriter.new(one) for one in layer.args[3:]])
    return emit(layer.op, (rewriter.new(layer.args[0]), scaled, shift, *rest), result)

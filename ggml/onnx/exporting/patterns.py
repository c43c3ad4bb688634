"""Operations of ONNX that are several rows here: found again in what was recorded."""

from __future__ import annotations

from typing import NamedTuple

from ggml.core.dtypes import float32
from ggml.core.node import Node


class BatchNorm(NamedTuple):
    """The sources of a batch norm in evaluation mode, whose factor and summand each channel has once."""

    input: Node
    weight: Node
    bias: Node
    mean: Node
    variance: Node
    eps: float


def batch_norm(node: Node) -> BatchNorm | None:
    """``input * (weight / sqrt(variance + eps)) + (bias - mean * that factor)``, where ``node`` is that sum."""
    scaled, summand = _pair(node, "add")
    x, factor = _pair(scaled, "mul")
    bias, shift = _pair(summand, "sub")
    mean, again = _pair(shift, "mul")
    root, weight = _pair(factor, "mul")
    if x is None or factor is None or again is not factor or root is None or root.op is None or root.op.name != "rsqrt":
        return None
    summed = root.inputs[0]
    if summed.op is None or summed.op.name != "add" or len(summed.inputs) != 1:
        return None
    number = summed.params[1]
    assert isinstance(number, tuple)
    sources = [_vector(one) for one in (weight, bias, mean, summed.inputs[0])]
    if len(x.shape) < 2 or any(one is None or one.shape != x.shape[1:2] or one.dtype is not float32 for one in sources):
        return None
    found = [one for one in sources if one is not None]
    return BatchNorm(x, found[0], found[1], found[2], found[3], float(number[0]))


def _pair(node: Node | None, row: str) -> tuple[Node | None, Node | None]:
    """The two tensors of an operation, if it is that one and has no number."""
    if node is None or node.op is None or node.op.name != row or len(node.inputs) != 2:
        return None, None
    return node.inputs[0], node.inputs[1]


def _vector(node: Node | None) -> Node | None:
    """The weight behind a view of it along the channels."""
    source = node.inputs[0] if node is not None and node.op is not None and node.op.name == "reshape" else node
    return source if source is not None and source.op is None and not source.is_placeholder else None

"""A step of Adam in one operation: made of others it would go through memory fifteen times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ggml.core.dtypes import F32
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.program import bits
from ggml.graph.value import Value
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor


def _lower_adam_step(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    length = (node.shape[1],)
    sources = [b.operand(b.reshape(value, length), length) for value in values[:4]]
    sources += [b.operand(b.reshape(rate, (1,)), (1,)) for rate in values[4:]]
    return b.emit("adam_step", sources, F32, node.shape, tuple(map(bits, params)))


@op(runs="kernel", sample="internal", lower=_lower_adam_step, methods=())
def adam_step(
    param: Tensor,
    gradient: Tensor,
    mean: Tensor,
    square: Tensor,
    rates: Sequence[Tensor],
    betas: tuple[float, float],
    eps: float,
    decay: float,
) -> Tensor:
    """The new parameter and the new means [3, numel] of float32 tensors of one shape.

    ``mean`` and ``square`` are the running means of gradients and of their squares. The three ``rates`` of this step,
    tensors without axes: of the mean, the root of what there is of the squares, and how much of the parameter is kept.
    ``decay``: how much of the parameter is added to the gradient. The caller has checked them.
    """
    shape = (3, param.numel())
    return make("adam_step", (param, gradient, mean, square, *rates), (*betas, eps, decay), shape, param._node.dtype)

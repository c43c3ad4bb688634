"""Rows of a weight, by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.index.indexing import index_tensor
from ggml.ops.nn.renorming import renormalise
from ggml.registry.arguments import integer, number
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor


def _lower_embedding(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    places, weight = values
    if not b.device.is_cpu or weight.type not in (dtypes.F32, dtypes.F16, dtypes.BF16):
        return b.take_rows(weight, places, False).reshape_to(node.shape)
    return b.take(b.reshape(weight, (1, *weight.shape)), places, False).reshape_to(node.shape)


@op(
    runs="mixed",
    sample="embedding",
    lower=_lower_embedding,
    dtypes=dtypes.INTEGER,
    torch="nn.functional.embedding",
    methods=(),
    widens=False,
    differs="The weight may be quantised; its rows come out as float32. With ``max_norm`` it cannot be compiled.",
)
def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of ``weight`` [n, width] that ``input`` names; with ``max_norm`` longer ones are scaled in ``weight`` first.

    No gradient goes to row ``padding_idx``; with ``scale_grad_by_freq`` gradients are divided by how often a row was
    named. ``sparse`` has no effect.
    """
    places = index_tensor("embedding", input, "input")
    scales = bool(number("embedding", scale_grad_by_freq, "scale_grad_by_freq"))
    if not isinstance(weight, Tensor) or weight.dtype.is_integer:
        raise DTypeError("embedding", "a floating or quantised weight", getattr(weight, "dtype", weight))
    if weight.ndim != 2:
        raise ShapeMismatchError("embedding", "a weight with two axes", tuple(weight.shape))
    rows = weight.shape[0]
    if padding_idx is not None and not -rows <= integer("embedding", padding_idx, "padding_idx") < rows:
        raise ArgumentError("embedding", "padding_idx", f"{padding_idx} is outside of {rows} rows")
    if weight.shape[0] == 0 and places.numel():
        raise IndexOutOfRangeError("embedding", "the weight has no rows")
    if max_norm is not None:
        renormalise("embedding", weight, places, max_norm, norm_type)
    dtype = dtypes.float32 if weight.dtype.is_quantized else weight.dtype
    if padding_idx is not None and padding_idx < 0:
        padding_idx += rows
    # The derivative needs them, so that they are parameters where they say anything.
    params = (padding_idx, scales) if padding_idx is not None or scales else ()
    return make("embedding", (places, weight), params, (*places._node.shape, weight.shape[1]), dtype)

"""Rows of an embedding, put together in bags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.elementwise.selection import where
from ggml.ops.nn.embedding import embedding
from ggml.ops.shape.concatenation import cat
from ggml.registry.arguments import convert, integer, strictly_floating, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor, filled, wrap
from ggml.tensors.transfer import upload

_MODES = ("sum", "mean", "max")


def _lower_bags(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    rows, bounds = values
    sources = (b.operand(rows, rows.shape), b.operand(bounds, bounds.shape))
    return b.emit("bag", sources, dtypes.F32, node.shape, (int(params[0]),))


@op(runs="kernel", sample="internal", lower=_lower_bags, dtypes=(dtypes.float32,), methods=(), on_empty=0.0)
def reduce_bags(input: Tensor, bounds: Tensor, wants_largest: bool) -> Tensor:
    """The rows [n, width] from each of the ``bounds`` [bags + 1] to the next, summed, or their largest elements.

    0 where a bag is empty. Bounds that do not begin with 0, fall or leave the rows are an error when computed.
    """
    return make("reduce_bags", (input, bounds), (wants_largest,), (bounds.shape[0] - 1, input.shape[1]), dtypes.float32)


def _bounds(places: Tensor, offsets: Any, include_last_offset: bool) -> Tensor:
    """Where the bags of [N] begin, and where the last one ends."""
    begins = tensor("embedding_bag", offsets, "offsets")
    if not begins.dtype.is_integer:
        raise DTypeError("embedding_bag", "integer offsets", begins.dtype)
    if begins.ndim != 1:
        raise ShapeMismatchError("embedding_bag", "offsets with one axis", tuple(begins.shape))
    begins = convert(begins, dtypes.int64)
    if include_last_offset:
        if not begins.shape[0]:
            raise ShapeMismatchError("embedding_bag", "at least one offset", (0,))
        return begins
    return cat([begins, filled((1,), places.shape[0], dtypes.int64, places.device)], 0)


def _check(mode: str, scale_grad_by_freq: bool, sparse: bool, weights: Any, input: Tensor) -> None:
    name = "embedding_bag"
    if mode not in _MODES:
        raise ArgumentError(name, "mode", f"must be one of {', '.join(_MODES)}, not {mode!r}")
    if mode == "max" and (scale_grad_by_freq or sparse):
        raise ArgumentError(name, "mode", "'max' knows neither scale_grad_by_freq nor sparse")
    if weights is None:
        return
    if mode != "sum":
        raise ArgumentError(name, "per_sample_weights", f"need mode 'sum', not {mode!r}")
    if tensor(name, weights, "per_sample_weights")._node.shape != input._node.shape:
        raise ShapeMismatchError(name, f"per_sample_weights {tuple(input.shape)}", tuple(weights.shape))


@op(
    runs="composed",
    sample="embedding_bag",
    dtypes=dtypes.INTEGER,
    torch="nn.functional.embedding_bag",
    methods=(),
    differs="The weight may be quantised. With ``max_norm`` it cannot be compiled.",
)
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Rows of ``weight`` [n, width] that ``input`` names, put together: their sum, mean or largest elements.

    Bags are the rows of ``input`` [B, N], or begin at the ``offsets`` [B] of ``input`` [N]. Rows ``padding_idx`` are
    left out. An empty bag is 0.
    """
    name = "embedding_bag"
    places = tensor(name, input)
    if not places.dtype.is_integer:
        raise DTypeError(name, "an integer input", places.dtype)
    _check(mode, scale_grad_by_freq, sparse, per_sample_weights, places)
    shape = tuple(places.shape)
    if places.ndim == 2 and offsets is None:
        bounds = wrap(upload(np.arange(shape[0] + 1) * shape[1], dtypes.int64, places.device))
        places = places.flatten()
    elif places.ndim == 1 and offsets is not None:
        bounds = _bounds(places, offsets, include_last_offset)
    else:
        raise ShapeMismatchError(name, "an input [B, N] without offsets, or [N] with offsets [B]", shape)
    rows = embedding(places, weight, None, max_norm, norm_type)
    scales = None if per_sample_weights is None else strictly_floating(name, per_sample_weights, "per_sample_weights")
    if scales is not None and scales.dtype is not rows.dtype:
        raise DTypeError(name, f"per_sample_weights of {rows.dtype}", scales.dtype)
    kept = None if padding_idx is None else places.ne(_padding(padding_idx, weight))
    return convert(_reduced(convert(rows, dtypes.float32), bounds, mode, scales, kept), rows.dtype)


def _padding(padding_idx: int, weight: Tensor) -> int:
    count, place = weight.shape[0], integer("embedding_bag", padding_idx, "padding_idx")
    if not -count <= place < count:
        raise ArgumentError("embedding_bag", "padding_idx", f"{place} is outside of {count} rows")
    return place % count


def _reduced(rows: Tensor, bounds: Tensor, mode: str, scales: Tensor | None, kept: Tensor | None) -> Tensor:
    if scales is not None:
        rows = rows * convert(scales, dtypes.float32).reshape(-1, 1)
    if kept is not None:
        rows = where(kept.unsqueeze(1), rows, float("-inf") if mode == "max" else 0.0)
    total = reduce_bags(rows, bounds, mode == "max")
    if mode == "sum" or (mode == "max" and kept is None):
        return total
    ones = filled((rows.shape[0],), 1, dtypes.float32, rows.device) if kept is None else convert(kept, dtypes.float32)
    counts = reduce_bags(ones.unsqueeze(1), bounds, False)
    return total / counts.clamp(min=1.0) if mode == "mean" else where(counts.gt(0), total, 0.0)

"""Attention: means of values, weighted by the products of queries and keys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.dtypes import F16, F32, FLOATING
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.node import Node, Shape
from ggml.graph.builder import Builder
from ggml.graph.program import bits, extents
from ggml.graph.value import Value
from ggml.ops.elementwise.selection import where
from ggml.ops.linalg.matmul import matmul
from ggml.ops.nn.dropouts import dropout
from ggml.ops.nn.normalization import softmax
from ggml.ops.reduce.sorting import tril
from ggml.ops.shape.repeating import repeat_interleave
from ggml.ops.shape.views import expand, reshape
from ggml.registry.arguments import broadcast, convert, number, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor, filled

_NAME = "scaled_dot_product_attention"

#: How attention is computed: ``auto``, or ``math`` or ``flash`` where the caller insists (``ggml.nn.attention``).
KERNEL: ContextVar[str] = ContextVar("attention_kernel", default="auto")


def row_view(b: Builder, value: Value) -> int:
    """A value of four axes as ggml sees it, copied only if its last axis has gaps."""
    shape = value.shape
    # An axis of one element may have any stride: one row, which is never outside of the source.
    strides = [own if extent > 1 else shape[-1] for extent, own in zip(shape, value.strides, strict=True)]
    strides[-1] = value.strides[-1] if shape[-1] > 1 else 1
    if strides[-1] != 1 or min(strides) < 0 or strides[-2] < shape[-1]:
        return b.operand(value, shape)
    return b.program.view(value, extents(shape), (strides[3], strides[2], strides[1], strides[0]))


def _exact(b: Builder, parts: Sequence[Value], bias: Value | None, scale: float, is_causal: bool) -> Value:
    """Scores, softmax and means as three products of ggml."""
    query, key, value = parts
    scores = _mul_mat(b, key, query)
    # Beside 16-bit values ggml would round the weights to 16 bits, too.
    columns = b.cast(b.dense(value.swap(2, 3)), F32)
    if is_causal and bias is None:
        if not scale > 0:  # -inf must stay what it is
            scores, scale = b.scale(scores, scale), 1.0
        scores = _causal(b, scores)
    if bias is None:
        weights = b.emit("soft_max_scale", (scores.step,), F32, scores.shape, (bits(scale),))
        return _mul_mat(b, columns, weights)
    bias = _causal(b, bias) if is_causal else b.dense(bias)
    sources = (scores.step, b.operand(bias, bias.shape))
    weights = b.emit("soft_max_mask", sources, F32, scores.shape, (bits(scale),))
    means = _mul_mat(b, columns, weights)
    # PyTorch's rule: a query that sees no key gets 0, where softmax alone would answer NaN.
    sees = b.map("ne", b.row_kernel("reduce", "max", bias), b.scalar(-math.inf, F32))
    return b.map("where", sees, means, b.scalar(0, F32), shape=means.shape)


def _mul_mat(b: Builder, weight: Value, rows: Value) -> Value:
    """Rows [B, H, M, K] times [B, H or fewer, N, K], transposed; groups of heads share a matrix."""
    sources = (b.operand(weight, weight.shape), b.operand(rows, rows.shape))
    return b.emit("mul_mat", sources, F32, (*rows.shape[:-1], weight.shape[-2]), (1,))


def _causal(b: Builder, scores: Value) -> Value:
    return b.emit("diag_mask_inf", (b.operand(scores, scores.shape),), F32, scores.shape)


def _flash(b: Builder, parts: Sequence[Value], bias: Value | None, scale: float, is_causal: bool) -> Value:
    """One pass over keys and values, without a matrix of scores."""
    query, key, value = parts
    if is_causal and bias is None:
        ends = np.triu(np.full((query.shape[2], key.shape[2]), -np.inf, np.float16), 1)
        bias = b.constant(ends[None, None], F16)
    elif bias is not None:
        bias = b.cast(_causal(b, bias) if is_causal else bias, F16)
    sources = [row_view(b, part) for part in parts]
    if bias is not None:
        sources.append(b.operand(bias, bias.shape))
    name = "flash_attn" if bias is None else "flash_attn_mask"
    batch, heads, length, _ = query.shape
    return b.emit(name, sources, F32, (batch, length, heads, value.shape[-1]), (bits(scale),)).swap(1, 2)


# The most keys of a head that are packed, and their largest width: a worker keeps them beside a block's scores in
# the cache.
_BLOCK_KEYS, _BLOCK_WIDTH = 1024, 128


def _fits_block(b: Builder, parts: Sequence[Value], bias: Value | None, is_causal: bool) -> bool:
    """Whether our own kernel takes it: no mask, float32, and as many queries as make packing worth it."""
    query, key, _ = parts
    if not b.device.is_cpu or bias is not None or is_causal or any(part.type != F32 for part in parts):
        return False
    return query.shape[2] >= 8 and key.shape[2] <= _BLOCK_KEYS and key.shape[3] <= _BLOCK_WIDTH


def _lower_attend(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    scale, is_causal, uses_flash = params
    query, key, value = b.cast(values[0], F32), values[1], values[2]
    bias = b.cast(values[3], F32) if len(values) == 4 else None
    if uses_flash and _fits_block(b, (query, key, value), bias, is_causal):
        sources = [row_view(b, part) for part in (query, key, value)]
        return b.emit("attend", sources, F32, (*query.shape[:-1], value.shape[-1]), (bits(scale),))
    way = _flash if uses_flash else _exact
    return way(b, (query, key, value), bias, scale, is_causal)


@op(runs="ggml", sample="internal", lower=_lower_attend, methods=(), widens=False)
def attend(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scale: float, is_causal: bool, uses_flash: bool
) -> Tensor:
    """Query [B, H, L, E], key [B, H or fewer, S, E], value [B, H or fewer, S, Ev], bias [1 or B, 1 or H, L, S].

    Float32 queries; the caller has checked. ``bias`` is added to the scaled scores.
    """
    inputs = (query, key, value) if bias is None else (query, key, value, bias)
    shape = (*query._node.shape[:-1], value._node.shape[-1])
    return make("attend", inputs, (scale, is_causal, uses_flash), shape, query._node.dtype)


# ggml's single pass works on that many queries at once; below, float16 values are summed in float16.
_TILE = 64

_DIFFERS = (
    "Keys and values may be 16 bits where the query is float32. A mask and ``is_causal`` both apply where both are "
    "given, masks broadcast in every axis, and a key that a mask of bools hides may be NaN where float32 is computed."
)


def _prefers_flash(query: Tensor, key: Tensor, is_plain_mask: bool) -> bool:
    """Whether the single pass is as exact as the long way. It adds masks in float16."""
    wish = KERNEL.get()
    if wish != "auto":
        return wish == "flash"
    if not is_plain_mask or query.device.type != "cpu":
        return False
    return key.dtype is dtypes.float32 or (key.dtype is dtypes.float16 and query.shape[-2] >= _TILE)


def _checked(query: Any, key: Any, value: Any) -> tuple[Tensor, Tensor, Tensor]:
    parts = tensor(_NAME, query, "query"), tensor(_NAME, key, "key"), tensor(_NAME, value, "value")
    if any(part.dtype not in FLOATING for part in parts):
        raise DTypeError(_NAME, "floating query, key and value", " and ".join(str(part.dtype) for part in parts))
    first, second, third = (part.dtype for part in parts)
    if second is not third or (first is not second and first is not dtypes.float32):
        raise DTypeError(_NAME, "one dtype, or a float32 query", f"{first}, {second} and {third}")
    shapes = tuple(tuple(part.shape) for part in parts)
    if any(len(shape) < 2 for shape in shapes):
        raise ShapeMismatchError(_NAME, "query, key and value with at least two axes", shapes)
    if shapes[0][-1] != shapes[1][-1] or shapes[1][-2] != shapes[2][-2]:
        rule = "query.shape[-1] equal to key.shape[-1] and key.shape[-2] equal to value.shape[-2]"
        raise ShapeMismatchError(_NAME, rule, shapes)
    return parts


def _grouped_heads(query: Tensor, *others: Tensor) -> int:
    """The heads of the query, of which each head of keys and values serves several."""
    shapes = tuple(tuple(part.shape) for part in (query, *others))
    if any(len(shape) < 3 for shape in shapes):
        raise ShapeMismatchError(_NAME, "at least three axes with enable_gqa", shapes)
    heads = shapes[0][-3]
    if any(shape[-3] == 0 or heads % shape[-3] for shape in shapes[1:]):
        raise ShapeMismatchError(_NAME, "heads of the query that those of key and value divide", shapes)
    return heads


def _leading(parts: Sequence[Tensor], heads: int | None) -> Shape:
    """The axes before the last two, broadcast; ``heads`` stands for the last of them where heads are grouped."""
    outer = [tuple(part.shape[:-2]) for part in parts]
    if heads is not None:
        outer = [(*shape[:-1], heads) for shape in outer]
    return broadcast(_NAME, *outer)


def _planes(part: Tensor, lead: Shape) -> Tensor:
    """[..., heads, rows, width] as [batch, heads, rows, width]; heads that repeat are left to ggml."""
    *outer, rows, width = part._node.shape
    heads = outer[-1] if outer and lead else 1
    flat = (math.prod(lead[:-1]), heads, rows, width)
    return reshape(expand(part, (*lead[:-1], heads, rows, width)), flat) if lead else reshape(part, flat)


def _bias(query: Tensor, mask: Any, lead: Shape, num_keys: int) -> Tensor | None:
    """The mask as what is added to the scores: [1 or B, 1 or H, L, S] of float32."""
    if mask is None:
        return None
    bias = tensor(_NAME, mask, "attn_mask")
    scores = (*lead, query._node.shape[-2], num_keys)
    if bias.dtype is dtypes.bool_:
        bias = where(bias, 0.0, -math.inf)
    elif bias.dtype is not dtypes.float32 and bias.dtype is not query.dtype:
        raise DTypeError(_NAME, f"a mask of bools, float32 or {query.dtype}", bias.dtype)
    if broadcast(_NAME, bias._node.shape, scores) != scores:
        raise ShapeMismatchError(_NAME, f"a mask that broadcasts to {scores}", tuple(bias.shape))
    bias = convert(reshape(bias, (1,) * (len(scores) - bias.ndim) + bias._node.shape), dtypes.float32)
    outer, heads = bias._node.shape[: len(lead)][:-1], (bias._node.shape[: len(lead)][-1:] or (1,))[0]
    wide = outer if set(outer) <= {1} else lead[:-1]
    whole = expand(bias, (*wide, *bias._node.shape[len(outer) : len(lead)], *scores[-2:]))
    return reshape(whole, (math.prod(wide), heads, *scores[-2:]))


def _with_dropout(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scale: float, share: float) -> Tensor:
    """The long way in rows of the table, so that weights can be dropped between them."""
    heads = query.shape[1]
    key, value = (repeat_interleave(part, heads // part.shape[1], 1) for part in (key, value))
    scores = matmul(query, convert(key, query.dtype).transpose(-2, -1)) * scale
    weights = softmax(scores if bias is None else convert(scores + bias, query.dtype), -1)
    return matmul(dropout(weights, share, True), convert(value, query.dtype))


@op(
    runs="composed",
    sample="attention",
    torch="nn.functional." + _NAME,
    methods=(),
    differs=_DIFFERS,
)
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """``softmax(query @ key.mT * scale + mask) @ value`` over [..., L, E], [..., S, E] and [..., S, Ev].

    ``scale`` is ``1 / sqrt(E)`` by default. A bool mask is True where a key is seen; a float mask is added.
    ``is_causal`` hides key j from query i if j > i. With ``enable_gqa`` several heads (axis -3) of the query
    share one of key and value. A query that sees no key gets 0.
    """
    query, key, value = _checked(query, key, value)
    share = float(number(_NAME, dropout_p, "dropout_p"))
    if not 0 <= share <= 1:
        raise ArgumentError(_NAME, "dropout_p", f"must lie in [0, 1]: {dropout_p}")
    heads = _grouped_heads(query, key, value) if enable_gqa else None
    lead = _leading((query, key, value), heads)
    width, num_keys = query._node.shape[-1], key._node.shape[-2]
    factor = 1 / math.sqrt(width or 1) if scale is None else float(number(_NAME, scale, "scale"))
    bias = _bias(query, attn_mask, lead, num_keys)
    result = (*lead, query._node.shape[-2], value._node.shape[-1])
    if 0 in lead and 0 not in (*query._node.shape[:-2], *key._node.shape[:-2]):
        raise ShapeMismatchError(_NAME, f"a value for each query: {tuple(query.shape)}", tuple(value.shape))
    if 0 in result or num_keys == 0:
        return filled(result, 0.0, query.dtype, query.device)
    if width == 0:  # every score is 0
        query, key = (filled((*part.shape[:-1], 1), 0.0, part.dtype, part.device) for part in (query, key))
    if query.ndim >= 3 and heads is None and query.shape[-3] != lead[-1]:
        query = expand(query, (*query.shape[:-3], lead[-1], *query.shape[-2:]))
    if query.ndim == 2 and lead:
        query = expand(query, (lead[-1], *query.shape))
    is_plain = attn_mask is None or attn_mask.dtype is dtypes.bool_
    uses_flash = _prefers_flash(query, key, is_plain)
    query, key, value = (_planes(part, lead) for part in (query, key, value))
    if share > 0:
        ends = _causal_bias(query, num_keys) if is_causal else None
        bias = ends if bias is None else bias if ends is None else bias + ends
        return reshape(_with_dropout(query, key, value, bias, factor, share), result)
    return reshape(attend(query, key, value, bias, factor, bool(is_causal), uses_flash), result)


def _causal_bias(query: Tensor, num_keys: int) -> Tensor:
    seen = tril(filled((query.shape[-2], num_keys), 1.0, dtypes.bool_, query.device))
    return where(seen, 0.0, -math.inf)

"""Rotary position embeddings: pairs of elements turned by angles that grow with the position."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ggml.core import dtypes
from ggml.core.dtypes import F32, FLOATING, I32
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.program import bits
from ggml.graph.value import Value, coalesce
from ggml.ops.nn.attention import row_view
from ggml.ops.shape.concatenation import cat
from ggml.ops.shape.cutting import narrow
from ggml.ops.shape.views import reshape
from ggml.registry.arguments import broadcast, convert, integer, number, same_dtype, strictly_floating, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor, filled

_NAME = "rotary_embedding"

# ggml's numbers of the modes.
_MODES = {"normal": 0, "neox": 2}


def _in_rows(b: Builder, value: Value, turning: Sequence[int], others: Sequence[int]) -> tuple[Value, list[int]]:
    """[outer, position, inner, width] of the axes, copied only where they do not lie like that; and their order."""
    width = len(value.shape) - 1
    for split in range(len(others), -1, -1):
        order = [*others[:split], *turning, *others[split:], width]
        groups = [others[:split], turning, others[split:]]
        merged = [
            coalesce(tuple(value.shape[d] for d in axes), [tuple(value.strides[d] for d in axes)]) for axes in groups
        ]
        if all(len(shape) <= 1 for shape, _ in merged) and (split == 0 or len(others) - split > 0):
            extents = [math.prod(value.shape[d] for d in axes) for axes in groups]
            strides = [(pattern or (0,))[0] for _, (pattern,) in merged]
            shape = (*extents, value.shape[width])
            return Value(value.step, value.type, shape, (*strides, value.strides[width]), value.offset), order
    order = [*turning, *others, width]
    counts = [math.prod(value.shape[d] for d in axes) for axes in (turning, others)]
    return b.dense(value.permute(order)).reshape_to((1, *counts, value.shape[width])), order


class Rotation(NamedTuple):
    """How rows turn. ``turning`` is the axes along which positions differ; ``scales`` are ggml's six numbers."""

    turning: tuple[int, ...]
    num_dims: int
    mode: int
    length: int  # positions that the model was trained on, for YaRN
    scales: tuple[float, ...]


def _lower_rotary(b: Builder, values: Sequence[Value], params: Rotation, node: Node) -> Value:
    turning, num_dims, mode, length, scales = params
    others = [d for d in range(len(node.shape) - 1) if d not in turning]
    rows, order = _in_rows(b, b.cast(values[0], F32), turning, others)
    positions = b.cast(b.dense(values[1]), I32)
    sources = [row_view(b, rows), b.operand(positions, (positions.numel,))]
    if len(values) == 3:
        sources.append(b.operand(b.cast(values[2], F32), values[2].shape))
    words = (num_dims, mode, length, *map(bits, scales))
    turned = b.emit("rope" if len(values) == 2 else "rope_divided", sources, F32, rows.shape, words)
    back = [order.index(d) for d in range(len(order))]
    return turned.reshape_to(tuple(node.shape[d] for d in order)).permute(back)


def _turning(input: Tensor, positions: Any) -> tuple[Tensor, tuple[int, ...]]:
    """The positions without the axes that they repeat along, and the axes of the input that are left."""
    places = tensor(_NAME, positions, "positions")
    if not places.dtype.is_integer:
        raise DTypeError(_NAME, "integer positions", places.dtype)
    lead = input._node.shape[:-1]
    if broadcast(_NAME, lead, places._node.shape) != lead:
        raise ShapeMismatchError(_NAME, f"positions that broadcast to {lead}", tuple(places.shape))
    wide = (1,) * (len(lead) - places.ndim) + places._node.shape
    return reshape(places, (-1,)), tuple(d for d, extent in enumerate(wide) if extent != 1)


def _divisors(input: Tensor, freq_factors: Any, num_dims: int) -> tuple[Tensor, ...]:
    """One for each pair of the row: those of pairs that are not turned are read, and not used."""
    if freq_factors is None:
        return ()
    factors = convert(strictly_floating(_NAME, freq_factors, "freq_factors"), dtypes.float32)
    if tuple(factors.shape) != (num_dims // 2,):
        raise ShapeMismatchError(_NAME, f"freq_factors [{num_dims // 2}]", tuple(factors.shape))
    missing = (input.shape[-1] - num_dims) // 2
    return (cat([factors, filled((missing,), 1.0, dtypes.float32, factors.device)]) if missing else factors,)


def _scales(**named: Any) -> tuple[float, ...]:
    values = {name: float(number(_NAME, value, name)) for name, value in named.items()}
    for name, value in values.items():
        if not math.isfinite(value) or (name in ("base", "freq_scale") and value <= 0):
            raise ArgumentError(_NAME, name, f"must be finite (base and freq_scale positive), not {value}")
    return tuple(values.values())


@op(runs="ggml", sample="internal", lower=_lower_rotary, dtypes=FLOATING, torch="nn.functional." + _NAME, methods=())
def rotary_embedding(
    input: Tensor,
    positions: Tensor,
    dim: int | None = None,
    base: float = 10000.0,
    mode: str = "neox",
    freq_scale: float = 1.0,
    freq_factors: Tensor | None = None,
    ext_factor: float = 0.0,
    attn_factor: float = 1.0,
    beta_fast: float = 32.0,
    beta_slow: float = 1.0,
    original_max_position: int = 0,
) -> Tensor:
    """Pair i of the first ``dim`` elements of each row turned by ``position * base ** (-2 i / dim)``; the rest stays.

    ``positions`` are integers that broadcast to ``input.shape[:-1]``: [T] for [..., T, D], [B, 1, T] for
    [B, H, T, D], [T, 1] for [B, T, H, D]. Mode ``"neox"`` pairs element i with i + dim / 2 (the layout of Hugging
    Face), ``"normal"`` with its neighbour. ``freq_scale`` multiplies every angle, ``freq_factors`` [dim / 2] divide
    them. YaRN: ``ext_factor`` is the share of unscaled angles in fast pairs, ``beta_fast`` and ``beta_slow`` bound
    them in turns over ``original_max_position``, ``attn_factor`` multiplies the result. Angles are float32.
    """
    x = strictly_floating(_NAME, input)
    if not x.ndim:
        raise ShapeMismatchError(_NAME, "at least one axis", ())
    width = x._node.shape[-1]
    num_dims = width if dim is None else integer(_NAME, dim, "dim")
    if num_dims % 2 or not 0 <= num_dims <= width:
        raise ArgumentError(_NAME, "dim", f"must be even and at most {width}, not {num_dims}")
    if mode not in _MODES:
        raise ArgumentError(_NAME, "mode", f"must be 'neox' or 'normal', not {mode!r}")
    length = integer(_NAME, original_max_position, "original_max_position")
    if not 0 <= length < 1 << 31 or (ext_factor and not length):
        raise ArgumentError(_NAME, "original_max_position", f"must be positive for YaRN and fit 32 bits, not {length}")
    scales = _scales(base=base, freq_scale=freq_scale, ext_factor=ext_factor, attn_factor=attn_factor,
                     beta_fast=beta_fast, beta_slow=beta_slow)  # fmt: skip
    places, turning = _turning(x, positions)
    if num_dims == 0 or 0 in x.shape:
        return x
    if width % 2:
        turned = rotary_embedding(narrow(x, -1, 0, width - 1), positions, num_dims, base, mode, freq_scale,
                                  freq_factors, ext_factor, attn_factor, beta_fast, beta_slow, length)  # fmt: skip
        return cat([turned, narrow(x, -1, width - 1, 1)], -1)
    inputs = (x, places, *_divisors(x, freq_factors, num_dims))
    how = Rotation(turning, num_dims, _MODES[mode], length, scales)
    return make(_NAME, inputs, how, x._node.shape, x._node.dtype)


def _lower_rotated(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    """Our kernel reads rows where they lie."""
    ones = [value.expand((1,) * (4 - len(value.shape)) + value.shape) for value in values]
    shape = (1,) * (4 - len(node.shape)) + node.shape
    return b.emit("rotate", [row_view(b, value) for value in ones], F32, shape).reshape_to(node.shape)


@op(runs="kernel", sample="internal", lower=_lower_rotated, dtypes=FLOATING, methods=())
def _rotate(input: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """``rotated``, for rows of up to four axes; the caller has checked."""
    return make("_rotate", (input, cos, sin), (), input._node.shape, input._node.dtype)


def rotated(input: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """``input * cos + cat((-input[..., n:], input[..., :n]), -1) * sin`` of rows of 2 n elements.

    The tables have rows of that length, and broadcast to the input: [T, 2 n] or [B, 1, T, 2 n] for [B, H, T, 2 n].
    """
    x, *tables = (strictly_floating("rotated", one) for one in (input, cos, sin))
    shape = x._node.shape
    fits = all(one.ndim and one.shape[-1] == x.shape[-1] for one in (x, *tables) if x.ndim)
    if (
        not x.ndim
        or shape[-1] % 2
        or not fits
        or broadcast("rotated", shape, *[one._node.shape for one in tables]) != shape
    ):
        wanted = f"an even width, and tables that broadcast to {shape}"
        raise ShapeMismatchError("rotated", wanted, tuple(tuple(one.shape) for one in tables))
    for one in tables:
        same_dtype("rotated", x, one)
    if x.ndim > 4 or 0 in shape or x.device.type != "cpu":
        half = shape[-1] // 2
        turned = cat([narrow(x, -1, half, half).neg(), narrow(x, -1, 0, half)], -1)
        return x * tables[0] + turned * tables[1]
    return _rotate(x, *tables)

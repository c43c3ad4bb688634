"""Rows brought to one scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.dtypes import F32, DType
from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder, Lower
from ggml.graph.program import bits
from ggml.graph.value import Value
from ggml.ops.elementwise.selection import where
from ggml.ops.reduce import reductions
from ggml.registry.arguments import as_dtype, convert, integer, number, sizes, strictly_floating, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import axis


def _lower_along(kernel: str, native: str | None = None) -> Lower:
    """Our kernel along an axis; on other devices ggml's operation, where it has one."""

    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
        shape = node.shape or (1,)
        at, last = params[0], len(shape) - 1
        rows = b.dense(values[0].reshape_to((1,)) if not node.shape else values[0].swap(at, last))
        result = b.rows(native, rows) if native and not b.device.is_cpu else b.exp_rows(kernel, rows)
        return result.swap(at, last) if node.shape else result.reshape_to(())

    return lower


@op(runs="mixed", sample="softmax", lower=_lower_along("softmax", "soft_max"))
def softmax(input: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
    """``exp(input)`` over its sum along ``dim``. A row of -inf only becomes NaN."""
    x = _maybe_cast("softmax", input, dtype)
    return make("softmax", (x,), (axis("softmax", dim, x.ndim),), x._node.shape, x._node.dtype)


def _maybe_cast(name: str, input: Tensor, dtype: DType | None) -> Tensor:
    x = tensor(name, input)
    return strictly_floating(name, x if dtype is None else convert(x, as_dtype(name, dtype)))


@op(runs="kernel", sample="softmax", lower=_lower_along("log_softmax"))
def log_softmax(input: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
    """The logarithm of ``softmax``, without its loss of precision."""
    x = _maybe_cast("log_softmax", input, dtype)
    return make("log_softmax", (x,), (axis("log_softmax", dim, x.ndim),), x._node.shape, x._node.dtype)


@op(runs="composed", sample="softmax", torch="nn.functional.softmin", methods=())
def softmin(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """``softmax`` of the negated input."""
    return softmax(tensor("softmin", input).neg(), dim, dtype=dtype)


def _normalised(name: str, x: Tensor, shape: Sequence[int], *extras: Tensor | None) -> tuple[int, ...]:
    """The trailing shape that is normalised; weight and bias must have it."""
    wanted = sizes(name, (shape,), "normalized_shape") if not isinstance(shape, int) else (shape,)
    if not wanted or tuple(x.shape[-len(wanted) :]) != wanted or x.ndim < len(wanted):
        raise ShapeMismatchError(name, f"an input that ends in {wanted}", tuple(x.shape))
    for extra in extras:
        if extra is not None and tuple(tensor(name, extra, "weight or bias").shape) != wanted:
            raise ShapeMismatchError(name, f"weight and bias {wanted}", tuple(extra.shape))
    return wanted


def _lower_layer_norm(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    """One kernel for all of it: ggml's norm, product and sum go through memory three times."""
    if not b.device.is_cpu:
        return _lower_norm("norm")(b, values, params, node)
    eps, width, has_weight = params
    extras = list(values[1:])
    weight = extras.pop(0) if has_weight else b.constant(np.ones(width, np.float32), F32)
    bias = extras.pop(0) if extras else b.constant(np.zeros(width, np.float32), F32)
    rows = (values[0].numel // width, width)
    sources = [b.operand(b.reshape(values[0], rows), rows)]
    sources += [b.operand(b.reshape(extra, (width,)), (width,)) for extra in (weight, bias)]
    return b.emit("norm_affine", sources, F32, rows, (bits(eps),)).reshape_to(node.shape)


def _lower_norm(native: str) -> Callable[..., Value]:
    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
        eps, width, has_weight = params
        rows = b.reshape(values[0], (values[0].numel // width, width))
        result = b.rows(native, rows, eps)
        for place, value in enumerate(values[1:]):
            name = "mul" if has_weight and place == 0 else "add"
            result = b.binary(name, result, b.reshape(value, (width,)), result.shape)
        return result.reshape_to(node.shape)

    return lower


def _normalise(
    name: str, x: Tensor, wanted: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    epsilon = float(number(name, eps, "eps"))
    if not epsilon >= 0:
        raise ArgumentError(name, "eps", f"must not be negative: {eps}")
    extras = tuple(extra for extra in (weight, bias) if extra is not None)
    params = (epsilon, math.prod(wanted), weight is not None)
    return make(name, (x, *extras), params, x._node.shape, x._node.dtype)


@op(runs="mixed", sample="layer_norm", lower=_lower_layer_norm, torch="nn.functional.layer_norm", methods=())
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
) -> Tensor:
    """Mean 0 and variance 1 over the trailing axes, then scaled and shifted."""
    x = strictly_floating("layer_norm", input)
    wanted = _normalised("layer_norm", x, normalized_shape, weight, bias)
    return _normalise("layer_norm", x, wanted, weight, bias, eps)


_EPSILON = 1.1920928955078125e-07


@op(runs="ggml", sample="rms_norm", lower=_lower_norm("rms_norm"), torch="nn.functional.rms_norm", methods=())
def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Over the root of the mean square of the trailing axes, then scaled. ``eps`` None is that of float32."""
    x = strictly_floating("rms_norm", input)
    wanted = _normalised("rms_norm", x, normalized_shape, weight)
    return _normalise("rms_norm", x, wanted, weight, None, _EPSILON if eps is None else eps)


def _lower_group_norm(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    groups, eps, has_weight = params
    batch, channels = node.shape[:2]
    inner = math.prod(node.shape[2:])
    rows = b.reshape(values[0], (batch * groups, channels // groups * inner))
    result = b.rows("norm", rows, eps).reshape_to((batch, channels, inner))
    for place, value in enumerate(values[1:]):
        name = "mul" if has_weight and place == 0 else "add"
        result = b.binary(name, result, b.reshape(value, (channels, 1)), result.shape)
    return result.reshape_to(node.shape)


@op(runs="ggml", sample="group_norm", lower=_lower_group_norm, torch="nn.functional.group_norm", methods=())
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-05
) -> Tensor:
    """Mean 0 and variance 1 over each group of channels (axis 1), then scaled and shifted by channel."""
    x, groups = strictly_floating("group_norm", input), integer("group_norm", num_groups, "num_groups")
    if x.ndim < 2 or groups < 1 or x.shape[1] % groups:
        raise ShapeMismatchError("group_norm", f"channels in axis 1 that {groups} divides", tuple(x.shape))
    for extra in (weight, bias):
        if extra is not None and tuple(tensor("group_norm", extra, "weight").shape) != (x.shape[1],):
            raise ShapeMismatchError("group_norm", f"weight and bias [{x.shape[1]}]", tuple(extra.shape))
    extras = tuple(extra for extra in (weight, bias) if extra is not None)
    epsilon = float(number("group_norm", eps, "eps"))
    if not epsilon >= 0:
        raise ArgumentError("group_norm", "eps", f"must not be negative: {eps}")
    return make("group_norm", (x, *extras), (groups, epsilon, weight is not None), x._node.shape, x._node.dtype)


@op(runs="composed", sample="normalize", torch="nn.functional.normalize", methods=())
def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """Over the ``p``-norm along ``dim``, or over ``eps`` where that is larger."""
    x = strictly_floating("normalize", input)
    return x / x.norm(p, dim, True).clamp(min=eps)


@op(runs="composed", sample="renorm", inplace=True)
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """The slices along ``dim`` scaled down to a ``p``-norm of ``maxnorm`` where theirs is larger."""

    x, power = strictly_floating("renorm", input), float(number("renorm", p, "p"))
    most = float(number("renorm", maxnorm, "maxnorm"))
    if x.ndim < 2:
        raise ShapeMismatchError("renorm", "at least two axes", tuple(x.shape))
    at = axis("renorm", dim, x.ndim)
    if not power > 0 or most < 0:
        raise ArgumentError("renorm", "p and maxnorm", f"must be positive, and not negative: {p}, {maxnorm}")
    wide = convert(x, dtypes.float32)
    norms = reductions.norm(wide, power, [d for d in range(x.ndim) if d != at], True)
    return convert(wide * where(norms.gt(most), most / (norms + 1e-7), 1.0), x.dtype)

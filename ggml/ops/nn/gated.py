"""Gated units of feed-forward layers, and the embedding of time steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder, Lower
from ggml.graph.value import Value
from ggml.ops.create.factories import put
from ggml.ops.nn.activations import gelu, relu
from ggml.ops.shape.concatenation import cat
from ggml.ops.shape.views import reshape
from ggml.registry.arguments import choice, convert, integer, number, same_dtype, strictly_floating, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor, filled

_FUNCTIONAL = "nn.functional."


def _pair(name: str, gate: Any, up: Any) -> tuple[Tensor, Tensor]:
    a, b = strictly_floating(name, gate, "gate"), strictly_floating(name, up, "up")
    same_dtype(name, a, b)
    if a.shape != b.shape:
        raise ShapeMismatchError(name, "gate and up of one shape", (tuple(a.shape), tuple(b.shape)))
    return a, b


def _fused(native: str) -> Lower:
    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
        rows = (math.prod(node.shape[:-1]), *node.shape[-1:]) if node.shape else (1,)
        sources = [b.operand(value, rows) for value in values]
        return b.emit(native, sources, dtypes.F32, rows).reshape_to(node.shape)

    return lower


@op(runs="ggml", sample="internal", lower=_fused("swiglu"), torch=_FUNCTIONAL + "swiglu", methods=())
def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """``silu(gate) * up`` in one operation; both of one shape."""
    a, b = _pair("swiglu", gate, up)
    return make("swiglu", (a, b), (), a._node.shape, a._node.dtype)


@op(runs="ggml", sample="internal", lower=_fused("geglu_erf"), torch=_FUNCTIONAL + "geglu", methods=())
def geglu(gate: Tensor, up: Tensor, approximate: str = "none") -> Tensor:
    """``gelu(gate, approximate) * up``, in one operation unless ``approximate="tanh"``; both of one shape."""
    a, b = _pair("geglu", gate, up)
    if choice("geglu", "approximate", approximate, ("none", "tanh")) == "none":
        return make("geglu", (a, b), (), a._node.shape, a._node.dtype)
    return gelu(a, approximate) * b


@op(runs="composed", sample="internal", torch=_FUNCTIONAL + "reglu", methods=())
def reglu(gate: Tensor, up: Tensor) -> Tensor:
    """``relu(gate) * up``; both of one shape. Two operations: ggml's own drops a NaN of the gate."""
    a, b = _pair("reglu", gate, up)
    return relu(a) * b


@op(runs="composed", sample="internal", torch=_FUNCTIONAL + "timestep_embedding", methods=())
def timestep_embedding(timesteps: Tensor, dim: int, max_period: float = 10000) -> Tensor:
    """Cosines, then sines of each time step [N] at ``dim // 2`` frequencies from 1 to 1 / max_period: [N, dim].

    Float32; an odd ``dim`` ends in 0. The frequencies are those of float64, rounded once.
    """
    name = "timestep_embedding"
    steps, width = tensor(name, timesteps, "timesteps"), integer(name, dim, "dim")
    period = float(number(name, max_period, "max_period"))
    if steps.ndim != 1:
        raise ShapeMismatchError(name, "timesteps with one axis", tuple(steps.shape))
    if steps.dtype is dtypes.bool_:
        raise DTypeError(name, "numbers as timesteps", steps.dtype)
    if not 0 <= width < 1 << 24 or not (math.isfinite(period) and period > 0):
        raise ArgumentError(name, "dim and max_period", f"must be a size and positive, not {dim} and {max_period}")
    half, count = width // 2, steps.shape[0]
    frequencies = np.exp(-math.log(period) * np.arange(half) / max(half, 1))
    angles = reshape(convert(steps, dtypes.float32), (count, 1)) * put(frequencies, dtypes.float32, steps.device)
    odd = [filled((count, 1), 0.0, dtypes.float32, steps.device)] if width % 2 else []
    return cat([angles.cos(), angles.sin(), *odd], 1)

"""The discrete Fourier transform along one axis: its kernel, and what all transforms do with lengths and scales."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ggml.core import dtypes
from ggml.core.dtypes import F32
from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder, Lower
from ggml.graph.program import bits
from ggml.graph.value import Value
from ggml.ops.shape.concatenation import cat
from ggml.ops.shape.cutting import narrow
from ggml.registry.arguments import choice, convert, floating, integer, tensor
from ggml.registry.table import Function, make, op
from ggml.tensors.pairs import marked, plain
from ggml.tensors.tensor import Tensor, filled
from ggml.tensors.transfer import axis

#: How every row differs whose tensors are complex in PyTorch.
PAIRS = "Complex tensors are marked pairs [..., 2]: ``shape`` counts that axis, ``dim`` does not. Plain pairs go, too."


# The modes of the kernel.
_COMPLEX, _TO_HALF, _TO_REAL = range(3)


def _laid_out(b: Builder, x: Value, last: int) -> tuple[Value, int]:
    """A dense look at the rows along axis ``last``, and how many elements lie between two neighbours of a row."""
    for at in range(last, -1, -1):
        order = (*range(at), last, *range(at, last), *range(last + 1, len(x.shape)))
        look = x.permute(order)
        if look.is_dense:
            return look, math.prod(x.shape[at:last])
    return b.dense(x), 1


class Transform(NamedTuple):
    """One transform of length ``n`` for each row, times ``scale``; ``at`` is the transformed axis of the result."""

    n: int
    is_inverse: bool
    scale: float
    at: int


def _lower(mode: int) -> Lower:
    def lower(b: Builder, values: Sequence[Value], params: Transform, node: Node) -> Value:
        n, is_inverse, scale, at = params
        last = len(values[0].shape) - (1 if mode == _TO_HALF else 2)
        source, inner = _laid_out(b, values[0], last)
        words = (mode, n, int(is_inverse), bits(scale), inner, math.prod(values[0].shape[at:last]))
        return b.emit("fourier", (b.operand(source, source.shape),), F32, (node.numel,), words).reshape_to(node.shape)

    return lower


def _row(mode: int) -> Callable[[Function], Function]:
    return op(runs="kernel", sample="internal", lower=_lower(mode), dtypes=(dtypes.float32,), methods=())


@_row(_COMPLEX)
def dft(input: Tensor, is_inverse: bool, scale: float, at: int) -> Tensor:
    """The transform along the last axis but one of complex float32 [..., n, 2], times ``scale``; the transformed
    axis of the result is axis ``at``."""
    *outer, n, _ = input._node.shape
    return make("dft", (input,), Transform(n, is_inverse, scale, at), (*outer[:at], n, *outer[at:], 2), dtypes.float32)


@_row(_TO_HALF)
def real_dft(input: Tensor, scale: float, at: int) -> Tensor:
    """The first ``n // 2 + 1`` elements, in axis ``at``, of the transform of real float32 [..., n], times ``scale``."""
    *outer, n = input._node.shape
    shape = (*outer[:at], n // 2 + 1, *outer[at:], 2)
    return make("real_dft", (input,), Transform(n, False, scale, at), shape, dtypes.float32)


@_row(_TO_REAL)
def inverse_real_dft(input: Tensor, n: int, scale: float, at: int) -> Tensor:
    """The real rows, in axis ``at``, times ``scale``, of which [..., n // 2 + 1, 2] is half the spectrum.

    Imaginary parts of its ends, which only reach that of the result, are not looked at.
    """
    *outer, _, _ = input._node.shape
    return make(
        "inverse_real_dft", (input,), Transform(n, True, scale, at), (*outer[:at], n, *outer[at:]), dtypes.float32
    )


_NORMS = ("backward", "forward", "ortho")


def _scale(name: str, norm: str | None, n: int, is_forward: bool) -> float:
    kind = choice(name, "norm", "backward" if norm is None else norm, _NORMS)
    if kind == "ortho":
        return 1 / math.sqrt(n)
    return 1 / n if (kind == "forward") == is_forward else 1.0


def as_pairs(name: str, value: Any) -> Tensor:
    """The pairs of a complex tensor, marked or not, in float32."""
    x = tensor(name, plain(value))
    if not x.dtype.is_floating_point or x.ndim < 1 or x.shape[-1] != 2:
        raise ShapeMismatchError(name, "a complex input: floats with a last axis of 2 (see complex)", tuple(x.shape))
    return convert(x, dtypes.float32)


def conjugated(x: Tensor) -> Tensor:
    """The conjugates of plain pairs."""
    return cat([narrow(x, -1, 0, 1), narrow(x, -1, 1, 1).neg()], -1)


def _length(name: str, n: int | None, extent: int) -> int:
    length = extent if n is None else integer(name, n, "n")
    if length < 1:
        raise ArgumentError(name, "n", f"must be positive: {length}")
    return length


def _resized(x: Tensor, at: int, length: int) -> Tensor:
    """Cut, or filled up with zeros, to ``length`` along an axis."""
    extent = x.shape[at]
    if length <= extent:
        return narrow(x, at, 0, length) if length < extent else x
    shape = (*x.shape[:at], length - extent, *x.shape[at + 1 :])
    return cat([x, filled(shape, 0, x.dtype, x.device)], at)


def _complex_axis(name: str, x: Tensor, dim: int) -> int:
    if x.ndim < 2:
        raise ShapeMismatchError(name, "at least one axis beside the last", tuple(x.shape))
    return axis(name, dim, x.ndim - 1)


def along(name: str, x: Tensor, n: int | None, dim: int, norm: str | None, is_forward: bool) -> Tensor:
    """The complex transform along one axis."""
    at = _complex_axis(name, x, dim)
    length = _length(name, n, x.shape[at])
    scale = _scale(name, norm, length, is_forward)
    return dft(_resized(x, at, length).movedim(at, -2), not is_forward, scale, at)


def real_along(name: str, x: Tensor, n: int | None, dim: int, norm: str | None) -> Tensor:
    """The first half of the transform of real float32 along one axis."""
    if not x.ndim:
        raise ShapeMismatchError(name, "at least one axis", ())
    at = axis(name, dim, x.ndim)
    length = _length(name, n, x.shape[at])
    scale = _scale(name, norm, length, True)
    return real_dft(_resized(x, at, length).movedim(at, -1), scale, at)


def inverse_real_along(name: str, x: Tensor, n: int | None, dim: int, norm: str | None, is_forward: bool) -> Tensor:
    """The real transform of the first half of a symmetric spectrum, along one axis."""
    at = _complex_axis(name, x, dim)
    length = _length(name, n, 2 * (x.shape[at] - 1))
    scale = _scale(name, norm, length, is_forward)
    half = _resized(x, at, length // 2 + 1).movedim(at, -2)
    return inverse_real_dft(half, length, scale, at)


# Samples of the rows whose results are real.
_REAL_RESULTS = ("fft_half", "fft_several_half")


def marking(function: Function) -> Function:
    """The function with its result marked as complex."""

    @functools.wraps(function)
    def complex_function(*args: Any, **kwargs: Any) -> Tensor:
        return marked(function(*args, **kwargs))

    return complex_function  # type: ignore[return-value]


def fft_row(sample: str) -> Callable[[Function], Function]:
    """The row of ``fft.NAME``, whose result is marked as complex where PyTorch's is."""

    def enter(function: Function) -> Function:
        place = "fft." + function.__name__.removeprefix("fft_")
        kinds = (dtypes.float32,)
        row = op(runs="composed", sample=sample, torch=place, methods=(), dtypes=kinds, differs=PAIRS)
        return row(function if sample in _REAL_RESULTS else marking(function))

    return enter


def real_input(name: str, value: Any) -> Tensor:
    """A real tensor, in float32."""
    return convert(floating(name, value), dtypes.float32)


def plan(name: str, rank: int, s: Any, dim: Any) -> list[tuple[int, int | None]]:
    """The axes to be transformed and their lengths, from PyTorch's ``s`` and ``dim``."""
    listed = [s] if not isinstance(s, (tuple, list)) else list(s)
    lengths = None if s is None else [integer(name, length, "s") for length in listed]
    if dim is None:
        count = rank if lengths is None else len(lengths)
        if count > rank:
            raise ArgumentError(name, "s", f"has more entries than the {rank} axes")
        dims = list(range(rank - count, rank))
    else:
        dims = list(dim) if isinstance(dim, (tuple, list)) else [dim]
    places = [axis(name, one, rank) for one in dims]
    if len(set(places)) != len(places):
        raise ArgumentError(name, "dim", f"names an axis twice: {dims}")
    if lengths is not None and len(lengths) != len(places):
        raise ArgumentError(name, "s", f"has {len(lengths)} entries for {len(places)} axes")
    if lengths is None:
        return [(place, None) for place in places]
    return [(place, None if length == -1 else length) for place, length in zip(places, lengths, strict=True)]


def no_axes(name: str) -> list[tuple[int, int | None]]:
    """What is said of a tensor without axes."""
    raise ShapeMismatchError(name, "at least one axis", ())

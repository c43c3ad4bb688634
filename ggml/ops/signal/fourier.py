"""Fourier transforms. A complex tensor is a real one whose last axis holds real and imaginary part."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.dtypes import F32, DType
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder, Lower
from ggml.graph.program import bits
from ggml.graph.value import Value
from ggml.ops.reduce.reductions import Dim
from ggml.ops.shape.views import cat, narrow, roll
from ggml.registry.arguments import choice, convert, floating, integer, tensor
from ggml.registry.limits import on_host
from ggml.registry.table import Function, make, op
from ggml.tensors.pairs import Pairs, marked, plain
from ggml.tensors.tensor import Tensor, filled
from ggml.tensors.transfer import axis

#: Of every row whose tensors are complex in PyTorch.
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


def _lower(mode: int) -> Lower:
    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
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
    return make("dft", (input,), (n, is_inverse, scale, at), (*outer[:at], n, *outer[at:], 2), dtypes.float32)


@_row(_TO_HALF)
def real_dft(input: Tensor, scale: float, at: int) -> Tensor:
    """The first ``n // 2 + 1`` elements, in axis ``at``, of the transform of real float32 [..., n], times ``scale``."""
    *outer, n = input._node.shape
    shape = (*outer[:at], n // 2 + 1, *outer[at:], 2)
    return make("real_dft", (input,), (n, False, scale, at), shape, dtypes.float32)


@_row(_TO_REAL)
def inverse_real_dft(input: Tensor, n: int, scale: float, at: int) -> Tensor:
    """The real rows, in axis ``at``, times ``scale``, of which [..., n // 2 + 1, 2] is half the spectrum.

    Imaginary parts of its ends, which only reach that of the result, are not looked at.
    """
    *outer, _, _ = input._node.shape
    return make("inverse_real_dft", (input,), (n, True, scale, at), (*outer[:at], n, *outer[at:]), dtypes.float32)


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


@fft_row("fft_complex")
def fft_fft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The discrete Fourier transform along ``dim``, cut or filled up with zeros to ``n``."""
    return along("fft.fft", as_pairs("fft.fft", input), n, dim, norm, True)


@fft_row("fft_complex")
def fft_ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of ``fft``."""
    return along("fft.ifft", as_pairs("fft.ifft", input), n, dim, norm, False)


@fft_row("fft_real")
def fft_rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The first ``n // 2 + 1`` elements of the transform of a real input: the others are their conjugates."""
    return real_along("fft.rfft", real_input("fft.rfft", input), n, dim, norm)


@fft_row("fft_half")
def fft_irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of ``rfft``: real, of length ``n`` (by default ``2 * (extent - 1)``)."""
    return inverse_real_along("fft.irfft", as_pairs("fft.irfft", input), n, dim, norm, False)


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


def _all_along(name: str, x: Tensor, s: Any, dim: Any, norm: str | None, is_forward: bool) -> Tensor:
    for at, length in plan(name, x.ndim - 1, s, dim):
        x = along(name, x, length, at, norm, is_forward)
    return x


def _several(name: str, forward: bool, default: tuple[int, ...] | None, text: str) -> Callable[..., Tensor]:
    public = f"fft.{name}"

    def function(input: Tensor, s: Dim = None, dim: Dim = default, norm: str | None = None) -> Tensor:
        return _all_along(public, as_pairs(public, input), s, dim, norm, forward)

    function.__name__, function.__doc__ = f"fft_{name}", text
    return fft_row("fft_several")(function)


fft_fft2 = _several("fft2", True, (-2, -1), "The transform along two axes.")
fft_ifft2 = _several("ifft2", False, (-2, -1), "The inverse of ``fft2``.")
fft_fftn = _several("fftn", True, None, "The transform along several axes, all by default.")
fft_ifftn = _several("ifftn", False, None, "The inverse of ``fftn``.")


def _several_real(name: str, default: tuple[int, ...] | None, text: str) -> Callable[..., Tensor]:
    public = f"fft.{name}"

    def function(input: Tensor, s: Dim = None, dim: Dim = default, norm: str | None = None) -> Tensor:
        x = real_input(public, input)
        *others, (last, length) = plan(public, x.ndim, s, dim) or no_axes(public)
        result = real_along(public, x, length, last, norm)
        for at, extent in others:
            result = along(public, result, extent, at, norm, True)
        return result

    function.__name__, function.__doc__ = f"fft_{name}", text
    return fft_row("fft_several_real")(function)


def _several_half(name: str, default: tuple[int, ...] | None, text: str) -> Callable[..., Tensor]:
    public = f"fft.{name}"

    def function(input: Tensor, s: Dim = None, dim: Dim = default, norm: str | None = None) -> Tensor:
        x = as_pairs(public, input)
        *others, (last, length) = plan(public, x.ndim - 1, s, dim) or no_axes(public)
        for at, extent in others:
            x = along(public, x, extent, at, norm, False)
        return inverse_real_along(public, x, length, last, norm, False)

    function.__name__, function.__doc__ = f"fft_{name}", text
    return fft_row("fft_several_half")(function)


def no_axes(name: str) -> list[tuple[int, int | None]]:
    """What is said of a tensor without axes."""
    raise ShapeMismatchError(name, "at least one axis", ())


fft_rfft2 = _several_real("rfft2", (-2, -1), "``rfft`` along the last of two axes, ``fft`` along the other.")
fft_rfftn = _several_real("rfftn", None, "``rfft`` along the last of several axes, ``fft`` along the others.")
fft_irfft2 = _several_half("irfft2", (-2, -1), "The inverse of ``rfft2``.")
fft_irfftn = _several_half("irfftn", None, "The inverse of ``rfftn``.")


def _from_behind(dim: Any, named: list[Any]) -> bool:
    """Whether axes are counted from the last one on."""
    return dim is None or any(isinstance(one, int) and one < 0 for one in named)


def _shifted(name: str, text: str, is_back: bool) -> Callable[..., Tensor]:
    public = f"fft.{name}"

    def function(input: Tensor, dim: Dim = None) -> Tensor:
        is_complex = type(input) is Pairs
        x = tensor(public, plain(input))
        rank = x.ndim - is_complex
        if not rank:
            raise ShapeMismatchError(public, "at least one axis", ())
        named: list[Any] = list(range(rank)) if dim is None else list(dim) if isinstance(dim, Sequence) else [dim]
        if not is_complex and x.is_floating_point() and x.ndim > 1 and x.shape[-1] == 2 and _from_behind(dim, named):
            raise ArgumentError(public, "dim", "could count pairs or not: count it from the front, or view_as_complex")
        places = [axis(public, one, rank) for one in named]
        halves = [(x.shape[at] + is_back) // 2 for at in places]
        result = roll(x, halves, places) if places else x
        return marked(result) if is_complex else result

    function.__name__, function.__doc__ = f"fft_{name}", text
    row = op(runs="composed", sample="fft_shift", torch=public, methods=(), dtypes=dtypes.PLAIN)
    return row(function)


fft_fftshift = _shifted("fftshift", "The element of frequency 0 moved to the middle.", False)
fft_ifftshift = _shifted("ifftshift", "The inverse of ``fftshift``.", True)


def _frequencies(name: str, text: str, places: Callable[[int], Any]) -> Callable[..., Tensor]:
    public = f"fft.{name}"

    def function(n: int, d: float = 1.0, *, dtype: DType | None = None, device: Any = None) -> Tensor:
        from ggml.ops.create.factories import put
        from ggml.registry.arguments import as_dtype, number, sizes

        (count,) = sizes(public, (integer(public, n, "n"),), "n")
        on_host(public, "n", count)
        kind = dtypes.float32 if dtype is None else as_dtype(public, dtype)
        if not kind.is_floating_point:
            raise DTypeError(public, "a floating dtype", kind)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.asarray(places(count), np.float64) / (float(number(public, d, "d")) * count)
        return put(values, kind, device)

    function.__name__, function.__doc__ = f"fft_{name}", text
    return op(runs="host", sample="fft_frequencies", torch=public, methods=())(function)


fft_fftfreq = _frequencies(
    "fftfreq",
    "The frequencies of the elements of ``fft``, for samples ``d`` apart.",
    lambda n: np.concatenate([np.arange((n + 1) // 2), np.arange(-(n // 2), 0)]),
)
fft_rfftfreq = _frequencies("rfftfreq", "The frequencies of the elements of ``rfft``.", lambda n: np.arange(n // 2 + 1))


@op(runs="composed", sample="complex_pair", dtypes=(dtypes.float32,), methods=(), differs=PAIRS)
def complex(real: Tensor, imag: Tensor) -> Tensor:
    """A complex tensor of its parts, [..., 2]."""
    return marked(joined("complex", real, imag))


def joined(name: str, real: Any, imag: Any) -> Tensor:
    """Pairs of two parts that broadcast."""
    a, b = tensor(name, real, "real"), tensor(name, imag, "imag")
    if a.dtype is not b.dtype or not a.is_floating_point():
        raise DTypeError(name, "floats of one dtype", f"{a.dtype} and {b.dtype}")
    from ggml.ops.shape.joining import broadcast_tensors

    one, other = broadcast_tensors(a, b)
    return cat([one.unsqueeze(-1), other.unsqueeze(-1)], -1)


@op(runs="composed", sample="complex_polar", dtypes=(dtypes.float32,), methods=(), differs=PAIRS)
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """A complex tensor of lengths and angles in radians, [..., 2]."""
    length, turn = tensor("polar", abs, "abs"), tensor("polar", angle, "angle")
    if length.dtype is not turn.dtype:
        raise DTypeError("polar", "one dtype", f"{length.dtype} and {turn.dtype}")
    return marked(joined("polar", length * turn.cos(), length * turn.sin()))

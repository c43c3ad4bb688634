"""New tensors like another one, and tensors that are written over: with a number, with another's values, at random.

Random numbers come from ``ggml.random`` on the host, so what draws them in place cannot be compiled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes, tracing
from ggml.core.dtypes import FLOATING, INTEGER, PLAIN, DType
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.ops.create.factories import extents, full, put
from ggml.ops.create.factories import tensor as new_of
from ggml.ops.create.options import Options, Place, Sized, wish
from ggml.ops.create.random import Generator, default_generator, drawn
from ggml.registry.arguments import Number, broadcast, convert, integer, number, strictly_floating, tensor
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor


def _new(name: str, value: int, text: str) -> Callable[..., Tensor]:
    def function(
        input: Tensor, *shape: Any, dtype: DType | None = None, device: Place = None, **options: Unpack[Sized]
    ) -> Tensor:
        like = tensor(name, input)
        size, wanted = extents(name, shape, options), wish(name, options, Sized, dtype, device, like=like)
        return wanted.settle(full(size, value, dtype=wanted.dtype, device=wanted.device))

    function.__name__, function.__doc__ = name, text
    return op(runs="host", sample="new_size", dtypes=PLAIN, torch=f"Tensor.{name}")(function)


new_zeros = _new("new_zeros", 0, "Zeros of this shape, in the dtype and place of ``input``.")
new_ones = _new("new_ones", 1, "Ones of this shape, in the dtype and place of ``input``.")


@op(runs="host", sample="new_full", dtypes=PLAIN, torch="Tensor.new_full")
def new_full(
    input: Tensor,
    size: Any,
    fill_value: Number,
    *,
    dtype: DType | None = None,
    device: Place = None,
    **options: Unpack[Options],
) -> Tensor:
    """``fill_value`` everywhere, in the dtype and place of ``input``."""
    like, value = tensor("new_full", input), number("new_full", fill_value, "fill_value")
    wanted = wish("new_full", options, Options, dtype, device, like=like)
    return wanted.settle(full(size, value, dtype=wanted.dtype, device=wanted.device))


@op(runs="host", sample="internal", dtypes=PLAIN, torch="Tensor.new_empty", methods=("new_empty",))
def new_empty(
    input: Tensor, *shape: Any, dtype: DType | None = None, device: Place = None, **options: Unpack[Sized]
) -> Tensor:
    """The same as ``new_zeros``."""
    return new_zeros(input, *shape, dtype=dtype, device=device, **options)


@op(runs="host", sample="new_tensor", dtypes=PLAIN, torch="Tensor.new_tensor")
def new_tensor(
    input: Tensor, data: Any, *, dtype: DType | None = None, device: Place = None, **options: Unpack[Options]
) -> Tensor:
    """These values, in the dtype and place of ``input``."""
    like = tensor("new_tensor", input)
    wanted = wish("new_tensor", options, Options, dtype, device, like=like)
    return wanted.settle(new_of(data, dtype=wanted.dtype, device=wanted.device))


def _drawing(name: str, self: Tensor, generator: Generator | None, kinds: tuple[DType, ...] = FLOATING) -> Generator:
    """The source of numbers for a tensor of one of these dtypes."""
    tracing.refuse(name)  # one draw would be kept for every call
    if self.dtype not in kinds:
        raise DTypeError(name, " or ".join(kind.name for kind in kinds), self.dtype)
    if generator is not None and not isinstance(generator, Generator):
        raise DTypeError(name, "a ggml.Generator", type(generator).__name__)
    return default_generator if generator is None else generator


def _written(self: Tensor, values: NDArray[Any], name: str) -> Tensor:
    return self._assign(put(np.asarray(values), self.dtype, self.device), name)


def uniform_(self: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Uniform in [from, to)."""
    low, high = float(number("uniform_", from_, "from")), float(number("uniform_", to, "to"))
    if not low <= high or math.isinf(high - low):
        raise ArgumentError("uniform_", "from", f"must not be above to: {low}, {high}")
    drawn = _drawing("uniform_", self, generator).uniform(self._node.shape)
    return _written(self, drawn * np.float32(high - low) + np.float32(low), "uniform_")


def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Normal with this mean and standard deviation."""
    middle, spread = float(number("normal_", mean, "mean")), float(number("normal_", std, "std"))
    if not 0 <= spread < math.inf:
        raise ArgumentError("normal_", "std", f"must be finite and not negative: {std}")
    drawn = _drawing("normal_", self, generator).normal(self._node.shape)
    return _written(self, drawn * np.float32(spread) + np.float32(middle), "normal_")


def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Exponential with the mean ``1 / lambd``."""
    rate = float(number("exponential_", lambd, "lambd"))
    if not rate > 0:
        raise ArgumentError("exponential_", "lambd", f"must be positive: {lambd}")
    drawn = _drawing("exponential_", self, generator).uniform(self._node.shape)
    return _written(self, -np.log1p(-drawn) / np.float32(rate), "exponential_")


def bernoulli_(self: Tensor, p: float | Tensor = 0.5, *, generator: Generator | None = None) -> Tensor:
    """1 with probability ``p``, else 0."""
    source = _drawing("bernoulli_", self, generator, PLAIN)
    shares = np.asarray(p.float().numpy() if isinstance(p, Tensor) else float(number("bernoulli_", p, "p")))
    broadcast("bernoulli_", tuple(self.shape), shares.shape)
    if not bool(np.all((shares >= 0) & (shares <= 1))):
        raise ArgumentError("bernoulli_", "p", "must lie in [0, 1]")
    return _written(self, (source.uniform(self._node.shape) < shares).astype(np.float32), "bernoulli_")


def random_(self: Tensor, from_: int = 0, to: int | None = None, *, generator: Generator | None = None) -> Tensor:
    """Integers in [from, to), or in [0, from); by default all that the dtype can count."""
    low = integer("random_", from_, "from")
    if to is None:
        most = {"float32": 1 << 24, "float16": 1 << 11, "bfloat16": 1 << 8, "int32": (1 << 31) - 1}
        low, high = (0, low) if low else (0, most.get(self.dtype.name, (1 << 63) - 1))
    else:
        high = integer("random_", to, "to")
    if low >= high:
        raise ArgumentError("random_", "from", f"must be less than to: {low}, {high}")
    source = _drawing("random_", self, generator, (*FLOATING, *INTEGER))
    return _written(self, source.integers(low, high, self._node.shape), "random_")


def log_normal_(self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Tensor:
    """The exponential of normal numbers with this mean and standard deviation."""
    middle, spread = float(number("log_normal_", mean, "mean")), float(number("log_normal_", std, "std"))
    if not 0 < spread < math.inf:
        raise ArgumentError("log_normal_", "std", f"must be finite and positive: {std}")
    drawn = _drawing("log_normal_", self, generator).normal(self._node.shape)
    return _written(self, np.exp(drawn * np.float32(spread) + np.float32(middle)), "log_normal_")


def cauchy_(self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Cauchy with this median and half width."""
    middle, width = float(number("cauchy_", median, "median")), float(number("cauchy_", sigma, "sigma"))
    if not 0 < width < math.inf:
        raise ArgumentError("cauchy_", "sigma", f"must be finite and positive: {sigma}")
    drawn = _drawing("cauchy_", self, generator).uniform(self._node.shape)
    return _written(self, np.tan(np.pi * (drawn.astype(np.float64) - 0.5)) * width + middle, "cauchy_")


def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """How many trials with probability ``p`` it takes to succeed once."""
    share = float(number("geometric_", p, "p"))
    if not 0 < share < 1:
        raise ArgumentError("geometric_", "p", f"must lie between 0 and 1: {p}")
    source = _drawing("geometric_", self, generator, (*FLOATING, *INTEGER))
    drawn = source.uniform(self._node.shape).astype(np.float64)
    return _written(self, np.ceil(np.log1p(-drawn) / np.log1p(-share)).clip(1), "geometric_")


@op(
    runs="host",
    sample="multinomial",
    differs="Other random numbers; the weights are read, so it cannot be used in a compiled function.",
)
def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Places drawn with the weights [..., n], which need not add up to 1: int64 [..., num_samples]."""
    x, count = strictly_floating("multinomial", input), integer("multinomial", num_samples, "num_samples")
    if x.ndim not in (1, 2) or x.shape[-1] == 0:
        raise ShapeMismatchError("multinomial", "weights [n] or [rows, n]", tuple(x.shape))
    if count < 1:
        raise ArgumentError("multinomial", "num_samples", f"must be positive: {count}")
    source = _drawing("multinomial", x, generator)
    weights = np.asarray(x.to(dtypes.float32).numpy(), np.float64).reshape(-1, x.shape[-1])
    if not bool(np.all(np.isfinite(weights) & (weights >= 0))) or not bool(np.all(weights.sum(1) > 0)):
        raise ArgumentError("multinomial", "input", "must hold finite weights, none negative, and not only 0")
    if not replacement and count > x.shape[-1]:
        raise ArgumentError("multinomial", "num_samples", "is more than there are weights")
    places = _with_replacement(weights, count, source) if replacement else _without(weights, count, source)
    return put(places.reshape(*x.shape[:-1], count), dtypes.int64, x.device)


def _with_replacement(weights: NDArray[Any], count: int, source: Generator) -> NDArray[Any]:
    bounds = np.cumsum(weights, 1)
    at = source.uniform((len(weights), count)).astype(np.float64) * bounds[:, -1:]
    places = [np.searchsorted(row, points, "right") for row, points in zip(bounds, at, strict=True)]
    last = weights.shape[1] - 1 - np.argmax(weights[:, ::-1] > 0, 1)  # rounding must not choose a weight of 0
    chosen: NDArray[Any] = np.minimum(np.array(places).reshape(len(weights), count), last[:, None])
    return chosen


def _without(weights: NDArray[Any], count: int, source: Generator) -> NDArray[Any]:
    """The first to arrive, where each place takes an exponential time by its weight."""
    with np.errstate(divide="ignore"):
        times = -np.log1p(-source.uniform(weights.shape).astype(np.float64)) / weights
    times = np.where(weights > 0, np.maximum(times, 1e-300), np.inf)
    order: NDArray[Any] = np.argsort(times, 1, kind="stable")
    return order[:, :count]


@op(
    runs="composed",
    sample="gumbel_softmax",
    torch="nn.functional.gumbel_softmax",
    methods=(),
    differs="Other random numbers, drawn on the host, so that it is compiled by ``compile_step`` only.",
)
def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample of ``softmax(logits / tau)`` that stays smooth; ``hard`` gives 1 at its largest place. Draws."""
    x, heat = strictly_floating("gumbel_softmax", logits), float(number("gumbel_softmax", tau, "tau"))
    tracing.refuse_change("gumbel_softmax")  # one draw would be kept for every call
    shape = x._node.shape

    def draw() -> NDArray[Any]:
        noise = -np.log(-np.log1p(-default_generator.uniform(shape)) + 1e-38)
        return np.asarray(noise, np.float32)

    soft = ((x + drawn(draw, shape, x.dtype, x.device)) / heat).softmax(dim)
    if not hard:
        return soft
    if not x.ndim:
        return convert(soft.eq(soft), x.dtype)
    from ggml.ops.loss.classes import class_range

    places = soft.argmax(dim, True)
    at = dim % max(x.ndim, 1)
    known = class_range(x.shape[at], x).reshape(-1, *[1] * (x.ndim - at - 1))
    return convert(places.eq(known), x.dtype)


#: Methods of Tensor that have no row: they only write over.
METHODS: dict[str, Callable[..., Tensor]] = {
    one.__name__: one
    for one in (uniform_, normal_, exponential_, bernoulli_, random_, log_normal_, cauchy_, geometric_)
}

for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)

"""Random tensors. Drawn on the host by numpy's Philox, then moved: equal on every device, unlike PyTorch's."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from typing import Any, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes, tracing
from ggml.core.devices import CPU, Device
from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError, DTypeError
from ggml.core.forking import renew_after_fork
from ggml.core.node import Shape, placeholder
from ggml.ops.create.factories import extents, put
from ggml.ops.create.options import Like, Place, Sized, Spare, Wish, given_to, wish
from ggml.registry.arguments import broadcast, integer, number, sizes
from ggml.tensors.tensor import Tensor, wrap


class Generator:
    """A source of random numbers: equal seeds give equal numbers. Thread-safe."""

    def __init__(self, device: Place = None) -> None:
        self.device: Device = CPU
        self._seed = 0
        self._source = np.random.Generator(np.random.Philox(0))
        renew_after_fork(self)

    def renew_lock(self) -> None:
        self._lock = threading.RLock()  # a signal handler may come in at any time
        bits: Any = np.random.Philox(0)  # numpy's source has a lock of its own, which a thread may have held
        bits.state = self._source.bit_generator.state
        self._source = np.random.Generator(bits)

    def __reduce__(self) -> Any:
        with self._lock:
            return _restored, (self._seed, self._source)

    def manual_seed(self, seed: int) -> Generator:
        """Begin the sequence of this seed."""
        value = integer("manual_seed", seed, "seed")
        with self._lock:
            self._seed = value
            self._source = np.random.Generator(np.random.Philox(value & (1 << 64) - 1))
        return self

    def seed(self) -> int:
        """Begin a sequence that nobody can foresee; returns its seed."""
        fresh = int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(1))
        self.manual_seed(fresh)
        return fresh

    def initial_seed(self) -> int:
        return self._seed

    def snapshot(self) -> Any:
        """Where the sequence is, for ``restore``."""
        with self._lock:
            return self._source.bit_generator.state

    def restore(self, snapshot: Any) -> None:
        """Go on from where the sequence was."""
        with self._lock:
            self._source.bit_generator.state = snapshot

    def uniform(self, shape: Shape) -> NDArray[Any]:
        with self._lock:
            return self._source.random(shape, np.float32)

    def normal(self, shape: Shape) -> NDArray[Any]:
        with self._lock:
            return self._source.standard_normal(shape, np.float32)

    def integers(self, low: int, high: int, shape: Shape) -> NDArray[Any]:
        if low < -(1 << 63) or high > 1 << 63:
            raise ArgumentError("Generator", "bounds", f"must fit into 64 bits: {low}, {high}")
        with self._lock:
            return self._source.integers(low, high, shape)

    def permutation(self, n: int) -> NDArray[Any]:
        with self._lock:
            return self._source.permutation(n)


def _restored(seed: int, source: np.random.Generator) -> Generator:
    """A generator from its pickle, at the place of its sequence where it was."""
    generator = Generator()
    generator._seed, generator._source = seed, source
    return generator


default_generator = Generator()
default_generator.seed()


def manual_seed(seed: int) -> Generator:
    """Seed the generator that is used where none is named."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator with something unforeseen."""
    return default_generator.seed()


def initial_seed() -> int:
    return default_generator.initial_seed()


def generator_of(name: str, generator: Generator | None) -> Generator:
    """The generator that ``name`` draws from: the given one, or everybody's. DTypeError if it is none."""
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        raise DTypeError(name, "a ggml.Generator", type(generator).__name__)
    return generator


def drawn(draw: Callable[[], NDArray[Any]], shape: Shape, dtype: DType, on: Device) -> Tensor:
    """What ``draw`` gives, as a tensor. A recording that draws anew at each call draws then, and only then."""
    changes = tracing.changes()
    if changes is None:
        return put(draw(), dtype, on)
    if changes.repeats:
        return wrap(changes.repeats.pop(0))
    node = placeholder(shape, dtype, on)
    changes.draws.append((node, lambda: put(draw(), dtype, on)))
    return wrap(node)


def _wish(name: str, dtype: DType | None, on: Place, options: Mapping[str, Any], kind: type, like: Any = None) -> Wish:
    """The options of a function that draws floats."""
    wanted = wish(name, options, kind, dtype, on, like=like)
    if not wanted.dtype.is_floating_point:
        raise DTypeError(name, "a floating dtype", wanted.dtype)
    return wanted


def rand(
    *shape: Any,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Place = None,
    **options: Unpack[Sized],
) -> Tensor:
    """Uniform in [0, 1)."""
    wanted, source = _wish("rand", dtype, device, options, Sized), generator_of("rand", generator)
    size = extents("rand", shape, options)
    return wanted.settle(drawn(lambda: source.uniform(size), size, wanted.dtype, wanted.device))


def randn(
    *shape: Any,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Place = None,
    **options: Unpack[Sized],
) -> Tensor:
    """Normal with mean 0 and variance 1."""
    wanted, source = _wish("randn", dtype, device, options, Sized), generator_of("randn", generator)
    size = extents("randn", shape, options)
    return wanted.settle(drawn(lambda: source.normal(size), size, wanted.dtype, wanted.device))


def randint(
    low: int = 0,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Place = None,
    **options: Unpack[Spare],
) -> Tensor:
    """Integers in [low, high), or in [0, low): ``randint(10, (3,))`` and ``randint(2, 10, (3,))``."""
    if isinstance(high, (tuple, list)) and size is None:
        high, size = None, high
    first, last = (0, low) if high is None else (low, high)
    first, last = integer("randint", first, "low"), integer("randint", last, "high")
    if first >= last:
        raise ArgumentError("randint", "low", f"must be less than high: {first}, {last}")
    wanted = wish("randint", options, Spare, dtype, device, default=dtypes.int64)
    source, shape = generator_of("randint", generator), sizes("randint", (size,))
    return wanted.settle(drawn(lambda: source.integers(first, last, shape), shape, wanted.dtype, wanted.device))


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Place = None,
    **options: Unpack[Spare],
) -> Tensor:
    """The integers from 0 to n - 1 in random order."""
    (count,) = sizes("randperm", (integer("randperm", n, "n"),))
    wanted = wish("randperm", options, Spare, dtype, device, default=dtypes.int64)
    source = generator_of("randperm", generator)
    return wanted.settle(drawn(lambda: source.permutation(count), (count,), wanted.dtype, wanted.device))


def _drawn_like(
    name: str, input: Any, generator: Generator | None, dtype: DType | None, on: Place, options: Like
) -> Tensor:
    if not isinstance(input, Tensor):
        raise DTypeError(name, "a tensor as input", type(input).__name__)
    wanted, source = _wish(name, dtype, on, options, Like, input), generator_of(name, generator)
    draw, shape = source.uniform if name == "rand_like" else source.normal, input._node.shape
    return wanted.settle(drawn(lambda: draw(shape), shape, wanted.dtype, wanted.device))


def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Place = None,
    **options: Unpack[Like],
) -> Tensor:
    """``rand`` in the shape, dtype and place of ``input``."""
    return _drawn_like("rand_like", input, generator, dtype, device, options)


def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Place = None,
    **options: Unpack[Like],
) -> Tensor:
    """``randn`` in the shape, dtype and place of ``input``."""
    return _drawn_like("randn_like", input, generator, dtype, device, options)


def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None, out: Tensor | None = None
) -> Tensor:
    """1 with the probability that each element is, or with ``p`` everywhere, else 0. Reads the input."""
    if not isinstance(input, Tensor) or not (input.is_floating_point() or p is not None):
        raise DTypeError("bernoulli", "a floating tensor", getattr(input, "dtype", type(input).__name__))
    shares = input.to(dtypes.float32).numpy() if p is None else np.asarray(float(number("bernoulli", p, "p")))
    if not bool(np.all((shares >= 0) & (shares <= 1))):
        raise ArgumentError("bernoulli", "input" if p is None else "p", "must hold probabilities in [0, 1]")
    source, shape = generator_of("bernoulli", generator), input._node.shape

    def draw() -> NDArray[Any]:
        return np.asarray(source.uniform(shape) < shares, np.float32)

    made = drawn(draw, shape, input.dtype, input.device)
    return made if out is None else cast(Tensor, given_to("bernoulli", made, out))


def normal(
    mean: float | Tensor = 0.0,
    std: float | Tensor = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Place = None,
    **options: Unpack[Spare],
) -> Tensor:
    """Normal with this mean and standard deviation: numbers and a ``size``, or tensors of one for each element."""
    middle, spread = _parameter("mean", mean), _parameter("std", std)
    is_valid = bool((spread >= 0).all()) if isinstance(spread, Tensor) else 0 <= spread < math.inf
    if not is_valid:
        raise ArgumentError("normal", "std", "must be finite and not negative")
    given = [one for one in (mean, std) if isinstance(one, Tensor)]
    if given and size is not None:
        raise ArgumentError("normal", "size", "stands beside numbers only: the tensors say how many there are")
    default = given[0].dtype if given else dtypes.float32
    like = given[0] if given else None
    wanted = wish("normal", options, Spare, default if dtype is None and options.get("out") is None else dtype, device,
                  like=like)  # fmt: skip
    if not wanted.dtype.is_floating_point:
        raise DTypeError("normal", "a floating dtype", wanted.dtype)
    shape = broadcast("normal", *[one._node.shape for one in given]) if given else sizes("normal", (size or (),))
    source = generator_of("normal", generator)
    plain = drawn(lambda: source.normal(shape), shape, dtypes.float32, wanted.device)
    return wanted.settle((plain * spread + middle).to(wanted.dtype))


def _parameter(argument: str, value: Any) -> Tensor | float:
    """A number, or a floating tensor that has one for each element."""
    if not isinstance(value, Tensor):
        return float(number("normal", value, argument))
    if not value.is_floating_point():
        raise DTypeError("normal", f"a floating {argument}", value.dtype)
    return value.to(dtypes.float32)

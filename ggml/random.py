"""Random tensors. Drawn on the host by numpy's Philox, then moved: equal on every device, unlike PyTorch's."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml import dtypes
from ggml.devices import CPU, Device
from ggml.dtypes import DType
from ggml.errors import ArgumentError, DTypeError
from ggml.factories import Place, put
from ggml.node import Shape
from ggml.ops.arguments import as_dtype, integer, number, sizes
from ggml.tensor import Tensor


class Generator:
    """A source of random numbers: equal seeds give equal numbers. Thread-safe."""

    def __init__(self, device: Place = None) -> None:
        self.device: Device = CPU
        self._lock = threading.Lock()
        self._seed = 0
        self._source = np.random.Generator(np.random.Philox(0))

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

    def uniform(self, shape: Shape) -> NDArray[Any]:
        with self._lock:
            return self._source.random(shape, np.float32)

    def normal(self, shape: Shape) -> NDArray[Any]:
        with self._lock:
            return self._source.standard_normal(shape, np.float32)

    def integers(self, low: int, high: int, shape: Shape) -> NDArray[Any]:
        with self._lock:
            return self._source.integers(low, high, shape)

    def permutation(self, n: int) -> NDArray[Any]:
        with self._lock:
            return self._source.permutation(n)


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


def _kind(name: str, dtype: DType | None) -> DType:
    kind = dtypes.float32 if dtype is None else as_dtype(name, dtype)
    if not kind.is_floating_point:
        raise DTypeError(name, "a floating dtype", kind)
    return kind


def rand(*size: Any, generator: Generator | None = None, dtype: DType | None = None, device: Place = None) -> Tensor:
    """Uniform in [0, 1)."""
    return put(generator_of("rand", generator).uniform(sizes("rand", size)), _kind("rand", dtype), device)


def randn(*size: Any, generator: Generator | None = None, dtype: DType | None = None, device: Place = None) -> Tensor:
    """Normal with mean 0 and variance 1."""
    return put(generator_of("randn", generator).normal(sizes("randn", size)), _kind("randn", dtype), device)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Place = None,
) -> Tensor:
    """Integers in [low, high), or in [0, low): ``randint(10, (3,))`` and ``randint(2, 10, (3,))``."""
    if size is None:
        low, high, size = 0, low, high
    first, last = integer("randint", low, "low"), integer("randint", high, "high")
    if first >= last:
        raise ArgumentError("randint", "low", f"must be less than high: {first}, {last}")
    kind = dtypes.int64 if dtype is None else as_dtype("randint", dtype)
    return put(generator_of("randint", generator).integers(first, last, sizes("randint", (size,))), kind, device)


def randperm(n: int, *, generator: Generator | None = None, dtype: DType | None = None, device: Place = None) -> Tensor:
    """The integers from 0 to n - 1 in random order."""
    (count,) = sizes("randperm", (n,))
    kind = dtypes.int64 if dtype is None else as_dtype("randperm", dtype)
    return put(generator_of("randperm", generator).permutation(count), kind, device)


def rand_like(input: Tensor, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """``rand`` in the shape, dtype and place of ``input``."""
    return rand(tuple(input.shape), dtype=dtype or input.dtype, device=input.device if device is None else device)


def randn_like(input: Tensor, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """``randn`` in the shape, dtype and place of ``input``."""
    return randn(tuple(input.shape), dtype=dtype or input.dtype, device=input.device if device is None else device)


def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element is, else 0. Reads the input."""
    if not isinstance(input, Tensor) or not input.is_floating_point():
        raise DTypeError("bernoulli", "a floating tensor", getattr(input, "dtype", type(input).__name__))
    shares = input.to(dtypes.float32).numpy()
    if not bool(np.all((shares >= 0) & (shares <= 1))):
        raise ArgumentError("bernoulli", "input", "must hold probabilities in [0, 1]")
    drawn = generator_of("bernoulli", generator).uniform(tuple(input.shape)) < shares
    return put(np.asarray(drawn, np.float32), input.dtype, input.device)


def normal(
    mean: float = 0.0, std: float = 1.0, size: Any = (), *, generator: Generator | None = None, device: Place = None
) -> Tensor:
    """Normal with this mean and standard deviation."""
    middle, spread = float(number("normal", mean, "mean")), float(number("normal", std, "std"))
    if not spread >= 0 or math.isinf(spread):
        raise ArgumentError("normal", "std", f"must be finite and not negative: {std}")
    return randn(size, generator=generator, device=device) * spread + middle

"""Samplers that draw. An epoch takes one number of the generator, and all else follows from that seed.

PyTorch's draw from the generator itself while they are iterated. With one seed an epoch can be written down, and
where a generator stands does not depend on how much of an epoch was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import ArgumentError, DTypeError
from ggml.data.samplers.sampler import Sampler, positive
from ggml.ops.create.random import Generator, generator_of
from ggml.tensors.tensor import Tensor


def drawn_seed(generator: Generator | None) -> int:
    """A seed for one epoch, drawn from the given generator or everybody's."""
    return int(generator_of("sampler", generator).integers(0, 1 << 63, ()))


class SeededSampler(Sampler[int]):
    """What samplers share that draw: the seed of the epoch that began last."""

    def __init__(self, generator: Generator | None) -> None:
        generator_of(type(self).__name__, generator)
        self.generator = generator
        self._seed: int | None = None
        self._next_seed: int | None = None

    def _order(self, generator: Generator) -> NDArray[Any]:
        """All indices of one epoch, drawn from the generator of that epoch."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        given, self._next_seed = self._next_seed, None
        self._seed = drawn_seed(self.generator) if given is None else given
        return iter(self._order(Generator().manual_seed(self._seed)).tolist())

    def state_dict(self) -> dict[str, Any]:
        return {"seed": self._seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        seed = state_dict.get("seed")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise ArgumentError(type(self).__name__, "state_dict", f"needs an integer as seed, and has {seed!r}")
        self._next_seed = seed


class RandomSampler(SeededSampler):
    """Indices in random order, each once; or ``num_samples`` independent draws with ``replacement``.

    Without replacement, more samples than there are begin another order when the first is used up.
    """

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(generator)
        if not isinstance(replacement, bool):
            raise DTypeError("RandomSampler", "a bool as replacement", type(replacement).__name__)
        self.data_source, self.replacement = data_source, replacement
        self._num_samples = None if num_samples is None else positive("RandomSampler", "num_samples", num_samples)

    @property
    def num_samples(self) -> int:
        """As asked for, or as many as there are now: a dataset may grow."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def _order(self, generator: Generator) -> NDArray[Any]:
        total, wanted = len(self.data_source), self.num_samples
        if total == 0:
            return np.empty(0, np.int64)
        if self.replacement:
            return generator.integers(0, total, (wanted,))
        rounds = [generator.permutation(total) for _ in range(-(-wanted // total))]
        return np.concatenate(rounds)[:wanted]

    def __len__(self) -> int:
        return self.num_samples if len(self.data_source) else 0


class SubsetRandomSampler(SeededSampler):
    """The given indices in random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        super().__init__(generator)
        self.indices = indices

    def _order(self, generator: Generator) -> NDArray[Any]:
        return np.asarray(np.asarray(self.indices, np.int64)[generator.permutation(len(self.indices))])

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(SeededSampler):
    """``num_samples`` indices below ``len(weights)``, each as likely as its weight says: they need not add up to 1.

    Without replacement no index comes twice, and there must be as many weights above zero as samples.
    """

    def __init__(
        self,
        weights: Sequence[float] | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(generator)
        if not isinstance(replacement, bool):
            raise DTypeError("WeightedRandomSampler", "a bool as replacement", type(replacement).__name__)
        shares = np.asarray(weights.tolist() if isinstance(weights, Tensor) else weights, np.float64)
        if shares.ndim != 1 or not np.isfinite(shares).all() or (shares < 0).any() or not shares.sum() > 0:
            raise ArgumentError("WeightedRandomSampler", "weights", "must be finite, not negative, and not all zero")
        self.num_samples = positive("WeightedRandomSampler", "num_samples", num_samples)
        if not replacement and np.count_nonzero(shares) < num_samples:
            raise ArgumentError("WeightedRandomSampler", "num_samples", "is more than there are weights above zero")
        self.weights, self.replacement = shares, replacement

    def _order(self, generator: Generator) -> NDArray[Any]:
        if self.replacement:
            # Doubles of 63 bits: the steps of a float32 would never reach a weight that is small beside many others.
            drawn = generator.integers(0, 1 << 63, (self.num_samples,)).astype(np.float64) / 2.0**63
            bounds = np.cumsum(self.weights)
            places = np.searchsorted(bounds, drawn * bounds[-1], side="right")
            likely: NDArray[Any] = np.minimum(places, np.flatnonzero(self.weights)[-1])
            return likely
        # Efraimidis and Spirakis 2006: the largest of u ** (1 / w) are a draw without replacement.
        drawn = (generator.integers(0, 1 << 63, self.weights.shape).astype(np.float64) + 1) / 2.0**63
        with np.errstate(divide="ignore"):
            keys = np.where(self.weights > 0, np.log(drawn) / self.weights, -np.inf)
        return np.asarray(np.argsort(-keys, kind="stable")[: self.num_samples])

    def __len__(self) -> int:
        return self.num_samples

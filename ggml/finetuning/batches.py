"""Which examples each step learns from: a function of the seed and the step alone, so that a run can go on anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ggml.finetuning.texts import IGNORED, Example
from ggml.ops.create.interop import from_numpy
from ggml.tensors.tensor import Tensor

# Rows are padded to a multiple of it, so that steps share few graphs.
_STEP = 32


class Batches:
    """``size`` examples at a time; each epoch has all of them in another order."""

    def __init__(self, examples: Sequence[Example], size: int, seed: int) -> None:
        self._examples, self.size, self._seed = list(examples), size, seed
        self._order = lru_cache(maxsize=2)(self._drawn)

    def __len__(self) -> int:
        """Steps of an epoch, the last one begun with examples of the next."""
        return -(-len(self._examples) // self.size)

    def chosen(self, step: int) -> list[Example]:
        """Of step ``step``, from 0 on."""
        count, first = len(self._examples), step * self.size
        return [self._examples[self._order(at // count)[at % count]] for at in range(first, first + self.size)]

    def _drawn(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self._seed, epoch]).permutation(len(self._examples))

    def digest(self) -> str:
        """Of all tokens and targets: other data are another run."""
        found = hashlib.sha256()
        for one in self._examples:
            found.update(len(one.tokens).to_bytes(8, "little") + one.tokens.tobytes() + one.targets.tobytes())
        return found.hexdigest()


def padded(examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Tokens and targets [B, T]; behind the end of an example nothing is learned, and nothing before sees it."""
    longest = max(len(one.tokens) for one in examples)
    shape = (len(examples), -(-longest // _STEP) * _STEP)
    tokens, targets = np.zeros(shape, np.int32), np.full(shape, IGNORED, np.int32)
    for row, one in enumerate(examples):
        tokens[row, : len(one.tokens)] = one.tokens
        targets[row, : len(one.targets)] = one.targets
    return from_numpy(tokens), from_numpy(targets)


def num_targets(examples: Sequence[Example]) -> int:
    """How many tokens they learn."""
    return sum(int((one.targets != IGNORED).sum()) for one in examples)

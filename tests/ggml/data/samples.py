"""Datasets that workers import: nothing heavy may be here."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import ggml
from ggml.data import Dataset, IterableDataset, get_worker_info


class Noisy(Dataset[Any]):
    """Each sample is its index with something drawn from ggml's generator."""

    def __init__(self, total: int = 10) -> None:
        self.total = total

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, index: int) -> tuple[int, ggml.Tensor]:
        return index, ggml.rand(3) + index


class Told(Dataset[Any]):
    """What a sample does depends on its index."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        if index == 2:
            raise ValueError("the second is\nspoilt")
        if index == 3:
            ggml.ones(2) @ ggml.ones(3)
        if index == 4:
            raise KeyError("key")
        if index == 5:
            return lambda: None
        if index == 6:
            time.sleep(60)
        if index == 7:
            os._exit(3)
        return index


class Facts(IterableDataset[Any]):
    """What a worker knows of itself, and its part of a range."""

    def __init__(self, total: int = 11) -> None:
        self.total = total

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        first, step = (info.id, info.num_workers) if info else (0, 1)
        yield from range(first, self.total, step)


class Seeds(Dataset[Any]):
    """What generators of other libraries draw, and what the init function left."""

    left: int | None = None

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, Any]:
        info = get_worker_info()
        assert info is not None and info.dataset is self
        return {
            "id": info.id,
            "seed": info.seed,
            "left": Seeds.left,
            "random": random.random(),
            "numpy": np.random.rand(),
        }


def leave(worker_id: int) -> None:
    Seeds.left = worker_id + 100


def first(samples: list[Any]) -> Any:
    return samples[0]


def big(samples: list[Any]) -> Any:
    """A batch that is larger than any pipe."""
    return np.full((1 << 20,), samples[0][0], np.int64)

"""The part of a dataset that one of several trainers takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from ggml.core.errors import ArgumentError
from ggml.data.samplers.sampler import Sampler, positive
from ggml.ops.create.random import Generator


class DistributedSampler(Sampler[int]):
    """Every ``num_replicas``-th index, from ``rank`` on, of an order that all replicas compute alike.

    Call ``set_epoch`` before each epoch, or all epochs have one order. All parts are equally long: the order begins
    again where samples are missing, or its end is left out with ``drop_last``. What is not given is what `torchrun`
    and `cluster train` say: WORLD_SIZE and RANK in the environment.
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        num_replicas = _told("WORLD_SIZE", num_replicas)
        rank = _told("RANK", rank)
        positive("DistributedSampler", "num_replicas", num_replicas)
        if isinstance(rank, bool) or not isinstance(rank, int) or not 0 <= rank < num_replicas:
            raise ArgumentError("DistributedSampler", "rank", f"must be in [0, {num_replicas}), and is {rank!r}")
        self.dataset, self.num_replicas, self.rank = dataset, num_replicas, rank
        self.shuffle, self.seed, self.drop_last, self.epoch = shuffle, seed, drop_last, 0

    @property
    def num_samples(self) -> int:
        """How many indices each replica takes."""
        total = len(self.dataset)
        return total // self.num_replicas if self.drop_last else -(-total // self.num_replicas)

    @property
    def total_size(self) -> int:
        """How many indices all replicas take together."""
        return self.num_samples * self.num_replicas

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        total = len(self.dataset)
        order = Generator().manual_seed(self.seed + self.epoch).permutation(total) if self.shuffle else np.arange(total)
        taken = np.resize(order, self.total_size) if total else order
        return iter(taken[self.rank :: self.num_replicas].tolist())

    def __len__(self) -> int:
        return self.num_samples

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epoch = int(state_dict["epoch"])


def _told(variable: str, given: int | None) -> int:
    if given is not None:
        return given
    text = os.environ.get(variable, "")
    if not text.isdecimal():
        raise ArgumentError(
            "DistributedSampler", "num_replicas and rank", f"must be given, where {variable} is not set"
        )
    return int(text)

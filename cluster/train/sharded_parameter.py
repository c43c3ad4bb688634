"""ShardedParameter: this rank's part of a parameter, flat; and what brings parts together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

import ggml
from cluster.train import collectives
from cluster.train.arrays import flat_of
from cluster.train.collectives import Array
from cluster.train.process_group import ProcessGroup
from ggml import nn


class ShardedParameter(nn.Parameter):
    """One of W parts [ceil(N / W)] of a parameter of N elements, in their order; the last ones are filled with zeros.

    Attributes:
        full_shape: of the whole parameter.
        group: the ranks that have its parts.
    """

    __slots__ = ("full_shape", "group")

    full_shape: tuple[int, ...]
    group: ProcessGroup

    @classmethod
    def of(cls, parameter: nn.Parameter, group: ProcessGroup) -> ShardedParameter:
        """The part of this rank, with memory of its own."""
        flat = flat_of(parameter)
        part_length = num_per_rank(len(flat), group.world_size)
        mine = flat[group.rank * part_length : (group.rank + 1) * part_length]
        padded = np.zeros(part_length, flat.dtype)
        padded[: len(mine)] = mine
        value = ggml.from_numpy(padded).to(parameter.dtype).to(parameter.device)
        found = cls(value, parameter.requires_grad)
        found.full_shape, found.group = tuple(parameter.shape), group
        return found

    @property
    def full_numel(self) -> int:
        """Elements of the whole parameter."""
        return math.prod(self.full_shape)


def num_per_rank(num_elements: int, world_size: int) -> int:
    """The length of every part, padding included."""
    return -(-num_elements // world_size)


def gathered(group: ProcessGroup, parameters: Sequence[ShardedParameter]) -> list[ggml.Tensor]:
    """The whole values of some parameters, each of its own memory. Every rank calls it."""
    mine = np.concatenate([flat_of(one) for one in parameters])
    ranks = np.stack(collectives.all_gather(group, mine) if group.world_size > 1 else [mine])
    found, begin = [], 0
    for one in parameters:
        end = begin + one.numel()
        whole = np.ascontiguousarray(ranks[:, begin:end]).reshape(-1)[: one.full_numel]
        found.append(ggml.from_numpy(whole.reshape(one.full_shape)).to(one.dtype).to(one.device))
        begin = end
    return found


def dealt_out(group: ProcessGroup, wholes: Sequence[Array | None], parameters: Sequence[ShardedParameter]) -> Array:
    """The whole gradients as reduce_scatter takes them: the parts of rank 0 of all parameters, those of rank 1 ..."""
    rows = []
    for whole, one in zip(wholes, parameters, strict=True):
        padded = np.zeros(one.numel() * group.world_size, np.float32)
        if whole is not None:
            padded[: one.full_numel] = whole
        rows.append(padded.reshape(group.world_size, -1))
    return np.concatenate(rows, axis=1).reshape(-1)

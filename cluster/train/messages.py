"""Tensors from one rank to another: a header of numbers, then the elements."""

from __future__ import annotations

import math

import numpy as np

import ggml
from cluster.api.errors import UsageError
from cluster.train.arrays import flat_of
from cluster.train.process_group import ProcessGroup
from ggml.core.node import MAX_RANK

# By number: what the wire has for them is f32 where they are smaller, and exact.
_DTYPES = (ggml.float32, ggml.float16, ggml.bfloat16, ggml.int32, ggml.int64)
_MAX_BYTES = 1 << 36  # of a tensor: a header that says more is damaged


def send_tensor(group: ProcessGroup, tensor: ggml.Tensor, rank: int) -> None:
    """To another rank, which learns shape and dtype from it. UsageError, UnreachableError."""
    if tensor.dtype not in _DTYPES:
        raise UsageError(f"send: a tensor of {tensor.dtype.name}; send one of {', '.join(one.name for one in _DTYPES)}")
    flat = flat_of(tensor)
    shape = tuple(tensor.shape)
    header = np.zeros(2 + MAX_RANK, np.int64)
    header[:2] = _DTYPES.index(tensor.dtype), len(shape)
    header[2 : 2 + len(shape)] = shape
    group.send_to(rank, header.view(np.uint8).data)
    if len(flat):
        group.send_to(rank, flat.view(np.uint8).data)


def receive_tensor(group: ProcessGroup, rank: int) -> ggml.Tensor:
    """What another rank sent next. UsageError for a header that is none, UnreachableError."""
    header = np.frombuffer(group.receive_from(rank, 8 * (2 + MAX_RANK)), np.int64)
    number, rank_of_shape = int(header[0]), int(header[1])
    shape = tuple(int(one) for one in header[2 : 2 + max(0, min(rank_of_shape, MAX_RANK))])
    is_sound = 0 <= number < len(_DTYPES) and len(shape) == rank_of_shape and all(one >= 0 for one in shape)
    dtype = _DTYPES[number] if is_sound else ggml.float32
    stored = np.dtype(np.float32) if dtype.is_floating_point else np.dtype(dtype.name)
    num_bytes = math.prod(shape) * stored.itemsize
    if not is_sound or num_bytes > _MAX_BYTES:
        raise UsageError(f"recv: rank {rank} sent no tensor; all ranks must send and receive in the same order")
    flat = np.frombuffer(group.receive_from(rank, num_bytes), stored) if num_bytes else np.empty(0, stored)
    return ggml.from_numpy(flat.reshape(shape).copy()).to(dtype)

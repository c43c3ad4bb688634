"""The group that this process belongs to, and torch.distributed's functions, which all mean that one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import ggml
from cluster.api.errors import UsageError
from cluster.train import collectives
from cluster.train.arrays import flat_of, put
from cluster.train.collectives import Array
from cluster.train.messages import receive_tensor, send_tensor
from cluster.train.process_group import ProcessGroup

_OPS = ("sum", "avg")
_waiting: ProcessGroup | None = None  # what the worker has prepared for the script that it runs
_group: ProcessGroup | None = None


def prepare(group: ProcessGroup) -> None:
    """What the next `init_process_group` of this process takes: called by the worker before it runs a script."""
    global _waiting
    _waiting = group


def init_process_group() -> None:
    """Enter the group that ``cluster train`` has made; without it, one of this process alone. UsageError if in one."""
    global _group
    if _group is not None:
        raise UsageError("init_process_group: this process is in a group already; call destroy_process_group first")
    _group = _waiting or ProcessGroup(0, 1, None)


def destroy_process_group() -> None:
    """Leave the group. UsageError without one."""
    global _group
    the_group("destroy_process_group")
    _group = None


def is_initialized() -> bool:
    """Whether `init_process_group` was called."""
    return _group is not None


def get_rank() -> int:
    """Of this process in its group: 0 to `get_world_size` - 1. UsageError without one."""
    return the_group("get_rank").rank


def get_world_size() -> int:
    """How many processes are in the group. UsageError without one."""
    return the_group("get_world_size").world_size


def all_reduce(tensor: ggml.Tensor, op: str = "sum") -> None:
    """The sum, or average ("avg"), over all ranks, in the place of ``tensor``: the same bits on every rank.

    Tensors of f16 and bf16 are added up in f32. UsageError without a group, or for another ``op``.
    """
    if op not in _OPS:
        raise UsageError(f"all_reduce: op {op!r} is none of {', '.join(_OPS)}")
    group = the_group("all_reduce")

    def reduce(array: Array) -> None:
        reduce_array(group, array)
        if op == "avg":
            np.divide(array, group.world_size, out=array, casting="unsafe")

    _in_place(tensor, reduce)


def broadcast(tensor: ggml.Tensor, src: int = 0) -> None:
    """What rank ``src`` has, in the place of ``tensor`` on all ranks. UsageError."""
    group = the_group("broadcast")
    if not 0 <= src < group.world_size:
        raise UsageError(f"broadcast: src {src} is no rank of a group of {group.world_size}")
    if group.world_size > 1:
        _in_place(tensor, lambda array: collectives.broadcast(group, array, src))


def all_gather(tensor: ggml.Tensor) -> list[ggml.Tensor]:
    """The tensors of all ranks, which have one shape, in the order of ranks. UsageError without a group."""
    group = the_group("all_gather")
    array = flat_of(tensor)
    found = collectives.all_gather(group, array) if group.world_size > 1 else [array]
    return [ggml.from_numpy(each.reshape(tuple(tensor.shape))).to(tensor.dtype) for each in found]


def reduce_scatter(tensor: ggml.Tensor, op: str = "sum") -> ggml.Tensor:
    """This rank's part of the sum, or average ("avg"), over all ranks: of ``tensor`` [W * N, ...], rows [N, ...].

    UsageError without a group, for another ``op``, or where W does not divide the first axis.
    """
    if op not in _OPS:
        raise UsageError(f"reduce_scatter: op {op!r} is none of {', '.join(_OPS)}")
    group = the_group("reduce_scatter")
    if tensor.dim() == 0 or tensor.shape[0] % group.world_size:
        raise UsageError(
            f"reduce_scatter: the first axis of {tuple(tensor.shape)} cannot be dealt out to {group.world_size} ranks; "
            "pad it"
        )
    part = scatter_array(group, flat_of(tensor))
    if op == "avg":
        np.divide(part, group.world_size, out=part, casting="unsafe")
    shape = (tensor.shape[0] // group.world_size, *tensor.shape[1:])
    return ggml.from_numpy(part.reshape(shape)).to(tensor.dtype)


def send(tensor: ggml.Tensor, dst: int) -> None:
    """To rank ``dst``, whose `recv` takes it. Returns at once. UsageError, UnreachableError once that rank is gone."""
    send_tensor(_another("send", dst), tensor, dst)


def recv(tensor: ggml.Tensor, src: int) -> int:
    """What rank ``src`` sent next, in the place of ``tensor``; returns ``src``. UsageError for another shape."""
    found = receive_tensor(_another("recv", src), src)
    if tuple(found.shape) != tuple(tensor.shape):
        raise UsageError(f"recv: rank {src} sent {tuple(found.shape)}, and {tuple(tensor.shape)} was expected")
    with ggml.no_grad():
        tensor.copy_(found)
    return src


def barrier() -> None:
    """Returns once every rank has come here. UsageError without a group."""
    group = the_group("barrier")
    if group.world_size > 1:
        collectives.barrier(group)


def the_group(what: str) -> ProcessGroup:
    """The one of this process. UsageError without one."""
    if _group is None:
        raise UsageError(f"{what}: this process is in no group; call init_process_group first")
    return _group


def _another(what: str, rank: int) -> ProcessGroup:
    group = the_group(what)
    if rank == group.rank or not 0 <= rank < group.world_size:
        raise UsageError(f"{what}: rank {rank} is none of the others in a group of {group.world_size}")
    return group


def reduce_array(group: ProcessGroup, array: Array) -> None:
    """The sum over all ranks in the place of `array` ([N], contiguous)."""
    if group.world_size > 1:
        collectives.all_reduce(group, array)


def scatter_array(group: ProcessGroup, array: Array) -> Array:
    """This rank's part of the sum over all ranks of `array` ([W * N], contiguous), which is used up: [N]."""
    return collectives.reduce_scatter(group, array) if group.world_size > 1 else array


def _in_place(tensor: ggml.Tensor, change: Callable[[Array], Any]) -> None:
    array = flat_of(tensor)
    change(array)
    put(tensor, array)

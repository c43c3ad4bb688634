"""What ranks do with their tensors together: torch.distributed's functions. ``group``: None for all ranks.

A rank that is not in the group does nothing, and is warned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import ggml
from cluster.api.errors import UsageError
from cluster.train import collectives
from cluster.train.arrays import flat_of, put
from cluster.train.collectives import Array
from cluster.train.default_group import own_group
from cluster.train.messages import receive_tensor, send_tensor
from cluster.train.process_group import ProcessGroup
from cluster.train.subgroups import group_rank


class ReduceOp:
    """What becomes of the values of all ranks, as torch.distributed's; the strings will do, too."""

    SUM, AVG, MAX, MIN, PRODUCT = "sum", "avg", "max", "min", "product"


_COMBINED = {"sum": np.add, "avg": np.add, "max": np.maximum, "min": np.minimum, "product": np.multiply}


def all_reduce(tensor: ggml.Tensor, op: str = ReduceOp.SUM, group: Any = None) -> None:
    """The sum, average, largest, smallest or product over all ranks, in the place of ``tensor``: the same bits on each.

    Tensors of f16 and bf16 are added up in f32. UsageError without a group, or for another ``op``.
    """
    combine = _combined("all_reduce", op)
    ranks = own_group("all_reduce", group)
    if ranks is None:
        return

    def reduce(array: Array) -> None:
        if ranks.world_size > 1:
            collectives.all_reduce(ranks, array, combine)
        _average(array, op, ranks)

    _in_place(tensor, reduce)


def broadcast(tensor: ggml.Tensor, src: int = 0, group: Any = None) -> None:
    """What rank ``src`` (among all ranks) has, in the place of ``tensor`` on all ranks. UsageError."""
    ranks = own_group("broadcast", group)
    if ranks is None:
        return
    source = group_rank(ranks, "broadcast: src", src)
    if ranks.world_size > 1:
        _in_place(tensor, lambda array: collectives.broadcast(ranks, array, source))


def all_gather(tensor_list: Any, tensor: ggml.Tensor | None = None, group: Any = None) -> Any:
    """The tensors of all ranks, which have one shape, in the order of ranks.

    ``all_gather(tensor)`` returns them; with PyTorch's ``all_gather(tensor_list, tensor)`` they take the places of
    those in the list. UsageError without a group, and for a list of another length.
    """
    ranks = own_group("all_gather", group)
    if ranks is None:
        return None
    if tensor is None:
        return _gathered(ranks, tensor_list)
    if len(tensor_list) != ranks.world_size:
        raise UsageError(f"all_gather: tensor_list has {len(tensor_list)} tensors for a group of {ranks.world_size}")
    for place, found in zip(tensor_list, _gathered(ranks, tensor), strict=True):
        _fill("all_gather", place, found)
    return None


def reduce(tensor: ggml.Tensor, dst: int = 0, op: str = ReduceOp.SUM, group: Any = None) -> None:
    """What `all_reduce` leaves, on rank ``dst`` (among all ranks) only; other tensors stay. UsageError."""
    combine = _combined("reduce", op)
    ranks = own_group("reduce", group)
    if ranks is None:
        return
    target = group_rank(ranks, "reduce: dst", dst)
    array = flat_of(tensor)
    if ranks.world_size > 1:
        collectives.all_reduce(ranks, array, combine)
    if ranks.rank == target:
        _average(array, op, ranks)
        put(tensor, array)


def gather(tensor: ggml.Tensor, gather_list: list[ggml.Tensor] | None = None, dst: int = 0, group: Any = None) -> None:
    """The tensors of all ranks, which have one shape, in the places of those in the list of rank ``dst`` (among all
    ranks). UsageError for a list elsewhere, and for one of another length."""
    ranks = own_group("gather", group)
    if ranks is None:
        return
    places = _places("gather: gather_list", gather_list, ranks, group_rank(ranks, "gather: dst", dst))
    found = _gathered(ranks, tensor)
    for place, one in zip(places, found, strict=False):  # elsewhere there are no places
        _fill("gather", place, one)


def scatter(
    tensor: ggml.Tensor, scatter_list: list[ggml.Tensor] | None = None, src: int = 0, group: Any = None
) -> None:
    """Of the list of rank ``src`` (among all ranks) the one of this rank, in the place of ``tensor``. UsageError as of
    `gather`, and for another shape."""
    ranks = own_group("scatter", group)
    if ranks is None:
        return
    source = group_rank(ranks, "scatter: src", src)
    places = _places("scatter: scatter_list", scatter_list, ranks, source)
    for rank, one in enumerate(places):
        if rank != ranks.rank:
            send_tensor(ranks, one, rank)
    _fill("scatter", tensor, places[source] if places else receive_tensor(ranks, source))


def _places(what: str, listed: list[ggml.Tensor] | None, group: ProcessGroup, holder: int) -> list[ggml.Tensor]:
    """The list, on the rank that has to have one; nothing elsewhere."""
    if (group.rank == holder) != bool(listed) or (listed and len(listed) != group.world_size):
        raise UsageError(
            f"{what} must have {group.world_size} tensors on rank {group.ranks[holder]}, and be left out elsewhere"
        )
    return list(listed or ())


def all_gather_into_tensor(output_tensor: ggml.Tensor, input_tensor: ggml.Tensor, group: Any = None) -> None:
    """The tensors [N, ...] of all ranks, one behind the other in the place of ``output_tensor`` [W * N, ...], or as
    its rows [W, N, ...]. UsageError."""
    ranks = own_group("all_gather_into_tensor", group)
    if ranks is None:
        return
    found = ggml.stack(_gathered(ranks, input_tensor))
    _fill("all_gather_into_tensor", output_tensor, found, may_reshape=True)


def reduce_scatter(tensor: ggml.Tensor, op: str = ReduceOp.SUM, group: Any = None) -> Any:
    """This rank's part of what `all_reduce` would leave: of ``tensor`` [W * N, ...], rows [N, ...].

    UsageError without a group, for another ``op``, or where W does not divide the first axis.
    """
    combine = _combined("reduce_scatter", op)
    ranks = own_group("reduce_scatter", group)
    if ranks is None:
        return None
    if tensor.dim() == 0 or tensor.shape[0] % ranks.world_size:
        raise UsageError(
            f"reduce_scatter: the first axis of {tuple(tensor.shape)} cannot be dealt out to {ranks.world_size} ranks; "
            "pad it"
        )
    flat = flat_of(tensor)
    part = collectives.reduce_scatter(ranks, flat, combine) if ranks.world_size > 1 else flat
    _average(part, op, ranks)
    shape = (tensor.shape[0] // ranks.world_size, *tensor.shape[1:])
    return ggml.from_numpy(part.reshape(shape)).to(tensor.dtype)


def reduce_scatter_tensor(output: ggml.Tensor, input: ggml.Tensor, op: str = ReduceOp.SUM, group: Any = None) -> None:
    """`reduce_scatter` of ``input`` in the place of ``output``. UsageError."""
    if own_group("reduce_scatter_tensor", group) is not None:
        _fill("reduce_scatter_tensor", output, reduce_scatter(input, op, group))


def send(tensor: ggml.Tensor, dst: int, group: Any = None) -> None:
    """To rank ``dst`` (among all ranks), whose `recv` takes it. Returns at once. UsageError, UnreachableError once
    that rank is gone."""
    ranks = own_group("send", group)
    if ranks is not None:
        send_tensor(ranks, tensor, _another(ranks, "send", dst))


def recv(tensor: ggml.Tensor, src: int, group: Any = None) -> int:
    """What rank ``src`` (among all ranks) sent next, in the place of ``tensor``; returns ``src``, and -1 on a rank
    that is not in the group. UsageError for another shape."""
    ranks = own_group("recv", group)
    if ranks is None:
        return -1
    found = receive_tensor(ranks, _another(ranks, "recv", src))
    if tuple(found.shape) != tuple(tensor.shape):
        raise UsageError(f"recv: rank {src} sent {tuple(found.shape)}, and {tuple(tensor.shape)} was expected")
    with ggml.no_grad():
        tensor.copy_(found)
    return src


def barrier(group: Any = None) -> None:
    """Returns once every rank has come here. UsageError without a group."""
    ranks = own_group("barrier", group)
    if ranks is not None and ranks.world_size > 1:
        collectives.barrier(ranks)


def _combined(what: str, op: str) -> np.ufunc:
    if op not in _COMBINED:
        raise UsageError(f"{what}: op {op!r} is none of {', '.join(_COMBINED)}")
    return _COMBINED[op]


def _average(array: Array, op: str, group: ProcessGroup) -> None:
    if op == "avg":
        np.divide(array, group.world_size, out=array, casting="unsafe")


def _gathered(group: ProcessGroup, tensor: ggml.Tensor) -> list[ggml.Tensor]:
    array = flat_of(tensor)
    found = collectives.all_gather(group, array) if group.world_size > 1 else [array]
    return [ggml.from_numpy(each.reshape(tuple(tensor.shape))).to(tensor.dtype) for each in found]


def _fill(what: str, place: ggml.Tensor, found: ggml.Tensor, *, may_reshape: bool = False) -> None:
    if tuple(place.shape) != tuple(found.shape) and not (may_reshape and place.numel() == found.numel()):
        raise UsageError(f"{what}: {tuple(found.shape)} came for a place {tuple(place.shape)}")
    with ggml.no_grad():
        place.copy_(found.reshape(tuple(place.shape)))


def _another(group: ProcessGroup, what: str, rank: int) -> int:
    """The rank in the group of another one among all."""
    if rank == group.ranks[group.rank] or rank not in group.ranks:
        raise UsageError(f"{what}: rank {rank} is none of the others in a group of {group.world_size}")
    return group.ranks.index(rank)


def _in_place(tensor: ggml.Tensor, change: Callable[[Array], Any]) -> None:
    array = flat_of(tensor)
    change(array)
    put(tensor, array)

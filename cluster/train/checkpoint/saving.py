"""Saving: each rank writes what it has, and rank 0 the index when all have."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ggml
from cluster.api.errors import ClusterError, UsageError
from cluster.train.checkpoint.index import NAME, PART, Index, Place, in_order, part_name
from cluster.train.checkpoint.pieces import Local, Piece, Whole, local_of
from cluster.train.default_group import the_group
from cluster.train.objects import broadcast_object
from cluster.train.process_group import ProcessGroup
from cluster.train.tensor_collectives import barrier
from ggml.core.errors import GgmlError
from ggml.io.nested import save_nested


def save(state_dict: Mapping[str, Any], folder: Any, process_group: Any = None) -> None:
    """Write `state_dict` into `folder`, which all ranks must reach; what was saved there before is replaced at the end.

    Values are modules, optimisers, others that have a state dict, tensors, and dicts, lists and numbers. What is
    shared out is written by the rank that has it, what all have by one of them. ``process_group``: the ranks that have
    the whole state together, None for all; each of them calls it. Where one fails all raise: UsageError for what cannot
    be saved, ClusterError where a rank cannot write.
    """
    group = the_group("checkpoint.save", process_group)
    root = Path(folder)
    number = str(broadcast_object(group, secrets.token_hex(8), 0))
    _tell(group, _written(root, state_dict, group, number), root, number)
    barrier(group)


def _written(root: Path, state: Mapping[str, Any], group: ProcessGroup, number: str) -> dict[str, Any]:
    """Write this rank's file. What to tell the others: what is in it, or why there is none."""
    try:
        local = local_of(state, group)
        mine = _to_write(local, group)
        root.mkdir(parents=True, exist_ok=True)
        path = root / part_name(number, group.rank)
        tensors = {name: _cut(one) for name, one in mine.items()}
        values = {name: one for name, one in local.items() if not isinstance(one, Piece)}
        save_nested({"tensors": tensors, "values": values}, path)
    except (OSError, GgmlError, ClusterError) as error:
        return {"error": f"{type(error).__name__}: {error}", "is_usage": not isinstance(error, OSError)}
    pieces = {name: [list(one.whole.shape), one.whole.dtype, one.begin, one.end] for name, one in mine.items()}
    return {"pieces": pieces, "values": values}


def _cut(piece: Piece) -> ggml.Tensor:
    """Without padding."""
    length = piece.end - piece.begin
    return piece.tensor if length == piece.tensor.numel() else piece.tensor.reshape(-1)[:length]


def _to_write(local: Local, group: ProcessGroup) -> dict[str, Piece]:
    """The pieces that only this rank has, and its share of those that all have."""
    shared = [name for name, one in local.items() if isinstance(one, Piece) and one.on_all]
    others = set(shared) - set(shared[group.rank :: group.world_size])
    pieces = {name: one for name, one in local.items() if isinstance(one, Piece) and name not in others}
    return {name: one for name, one in pieces.items() if one.on_all or one.begin < one.end or one.whole.numel == 0}


def _tell(group: ProcessGroup, told: dict[str, Any], root: Path, number: str) -> None:
    """All ranks hear what all have written; rank 0 writes the index."""
    all_told = [broadcast_object(group, told, rank) for rank in range(group.world_size)]
    wrong = {rank: one for rank, one in enumerate(all_told) if "error" in one}
    failure: ClusterError | None = None
    if wrong:
        rank, one = next(iter(wrong.items()))
        kind = UsageError if one["is_usage"] else ClusterError
        failure = kind(f"checkpoint.save: rank {rank}: {one['error']}; nothing in {root} has changed")
    elif group.rank == 0:
        try:
            _index(root, all_told, number).write(root)
        except (OSError, GgmlError) as error:
            failure = ClusterError(f"checkpoint.save: {error}")
    said = broadcast_object(group, "" if failure is None else str(failure), 0)
    if failure is not None or said:
        with contextlib.suppress(OSError):
            (root / part_name(number, group.rank)).unlink(missing_ok=True)
        raise failure or ClusterError(said)
    if group.rank == 0:
        _remove_others(root, number)


def _index(root: Path, all_told: list[dict[str, Any]], number: str) -> Index:
    tensors: dict[str, tuple[Whole, list[Place]]] = {}
    values: dict[str, Any] = {}
    for rank, told in enumerate(all_told):
        for name, (shape, dtype, begin, end) in told["pieces"].items():
            _, places = tensors.setdefault(name, (Whole(tuple(shape), dtype), []))
            places.append(Place(part_name(number, rank), begin, end))
        values |= told["values"]
    return Index(
        {name: (whole, in_order(root / NAME, name, whole, places)) for name, (whole, places) in tensors.items()}, values
    )


def _remove_others(root: Path, number: str) -> None:
    """Parts of saves before, which no index names any more."""
    for path in root.iterdir():
        if PART.fullmatch(path.name) and not path.name.startswith(f"part-{number}-"):
            path.unlink(missing_ok=True)

"""States that travel: dicts and tensors as the bytes of a GGUF file, so that nothing has to be unpickled."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from cluster.api.errors import UsageError
from cluster.train import collectives
from cluster.train.default_group import own_group
from cluster.train.process_group import ProcessGroup
from cluster.train.subgroups import group_rank
from ggml.io.nested import load_nested, save_nested


def broadcast_object_list(object_list: list[Any], src: int = 0, group: Any = None) -> None:
    """What rank ``src`` (among all ranks) has in its list, in the lists of all: dicts, lists, numbers, strings and
    tensors. UsageError for a list of another length, DTypeError for what cannot be written."""
    ranks = own_group("broadcast_object_list", group)
    if ranks is None:
        return
    found = broadcast_object(ranks, list(object_list), group_rank(ranks, "broadcast_object_list: src", src))
    if len(found) != len(object_list):
        raise UsageError(f"broadcast_object_list: {len(found)} objects came for a list of {len(object_list)}")
    object_list[:] = found


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """What all ranks have, in the order of ranks, in the places of a list. Errors as of `broadcast_object_list`."""
    ranks = own_group("all_gather_object", group)
    if ranks is None:
        return
    if len(object_list) != ranks.world_size:
        raise UsageError(f"all_gather_object: the list has {len(object_list)} places for a group of {ranks.world_size}")
    object_list[:] = [broadcast_object(ranks, obj, rank) for rank in range(ranks.world_size)]


def broadcast_object(group: ProcessGroup, obj: Any, source: int) -> Any:
    """What rank `source` has, on all ranks: dicts, lists, numbers, strings and tensors. `obj` of others is ignored.

    FileFormatError for bytes that are no such state, DTypeError for an object that cannot be written.
    """
    if group.world_size == 1:
        return obj
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.gguf"
        if group.rank == source:
            save_nested(obj, path)
        num_bytes = np.array([path.stat().st_size if group.rank == source else 0], np.int64)
        collectives.broadcast(group, num_bytes, source)
        raw = np.fromfile(path, np.uint8) if group.rank == source else np.empty(int(num_bytes[0]), np.uint8)
        collectives.broadcast(group, raw, source)
        if group.rank == source:
            return obj
        raw.tofile(path)
        return load_nested(path)  # the mapping outlives the name of the file

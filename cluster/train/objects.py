"""States that travel: dicts and tensors as the bytes of a GGUF file, so that nothing has to be unpickled."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from cluster.train import collectives
from cluster.train.process_group import ProcessGroup
from ggml.io.nested import load_nested, save_nested


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

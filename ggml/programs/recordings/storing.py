"""Recordings in files: a key of the header, and a tensor with the memory that they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ggml.core.dtypes import int64
from ggml.io.mapped import Mapped
from ggml.io.naming import named, of_file
from ggml.ops.create.interop import over_private
from ggml.programs.graph import Graph
from ggml.programs.recordings.decoding import decode
from ggml.programs.recordings.encoding import encode
from ggml.programs.recordings.recorded import KEY, MEMORY, Memory, Range, Recordings, Source
from ggml.tensors.tensor import Tensor


def with_recordings(tensors: dict[str, Tensor], recordings: Recordings) -> tuple[dict[str, Tensor], dict[str, bytes]]:
    """What goes into a file beside ``tensors``, which come first: all tensors, and the bytes under keys."""
    if not recordings:
        return tensors, {}
    shared = recordings.memory.array()
    if len(shared):
        tensors = {**tensors, MEMORY: over_private(shared, dtype=int64, shape=(len(shared) // 8,))}
    items = named([(name, one.dtype, tuple(one.shape)) for name, one in tensors.items()])
    stored = {item.name: item.stored_name for item in items}
    return tensors, {KEY: encode(recordings.by_shapes.values(), stored)}


def without_recordings(
    file: Mapped, tensors: dict[str, Tensor], graph: Graph
) -> tuple[dict[str, Tensor], Recordings | None]:
    """The tensors of a program alone, and its recordings. FileFormatError where these are not sound."""
    raw = file.array_of_bytes(KEY)
    if raw is None:
        if KEY in file.header.metadata:
            file.fail(KEY, "is no array of bytes")
        return tensors, None
    shared = tensors.pop(MEMORY, None)
    if shared is not None and (shared.dtype is not int64 or shared.ndim != 1):
        file.fail(f"tensor {MEMORY}", "is no row of int64")
    pairs = [(item.stored_name, item.name) for item in of_file(file) if item.name != MEMORY]
    names = {stored: name for stored, name in pairs if stored is not None}
    sizes = {stored: tensors[name].buffer().num_bytes for stored, name in names.items()}
    num_shared = 0 if shared is None else shared.numel() * 8
    found = decode(raw, file.header.path, graph, sizes, num_shared)
    memory = None if shared is None else np.from_dlpack(shared).view(np.uint8)
    ranges = {source for one in found for source in one.sources if isinstance(source, Range)}
    recordings = Recordings(Memory(memory, ranges))
    for one in found:
        recordings.add(replace(one, sources=tuple([_renamed(source, names) for source in one.sources])))
    return tensors, recordings


def _renamed(source: Source, names: Mapping[str, str]) -> Source:
    """A weight by its own name in place of the one in the file."""
    return names[source] if isinstance(source, str) else source

"""LoRA adapters of a cluster: files on this machine, named as FILE or FILE:SCALE."""

from __future__ import annotations

import os
from collections.abc import Iterator

from cluster.api.errors import ModelFileError, UsageError
from cluster.cutting.adapter import Adapter, adapter_part, check_adapter
from cluster.cutting.header import read_header
from cluster.cutting.model import Model
from cluster.sources.name import parse_adapter
from cluster.sources.source import AdapterSource
from cluster.store.origin import FileOrigin
from ggml.gguf.encode import aligned


def find_adapter(text: str, model: Model) -> AdapterSource:
    """The adapter that `text` names. UsageError, which names the file, unless it is there and fits the model."""
    path, scale = parse_adapter(text)
    header = _opened(path, model).header
    return AdapterSource(path, header.file_size_bytes, header.mtime_ns, scale)


def read_adapter_part(source: AdapterSource, model: Model, first: int, end: int) -> bytes:
    """The GGUF for the slice [first, end) of the model; b"" where the adapter adds nothing to it.

    UsageError where the file is not what it was, because all stages must compute with the same.
    """
    adapter = _opened(source.path, model)
    header = adapter.header
    if (header.file_size_bytes, header.mtime_ns) != (source.size_bytes, source.mtime_ns):
        raise UsageError(f"lora: {source.path}: was written to since the start; run cluster down, then cluster up")
    part = adapter_part(adapter, model, first, end)
    if not part.tensors:
        return b""
    origin = FileOrigin(source.path, source.size_bytes, source.mtime_ns)
    return b"".join(_bytes_of(part.header_bytes, ((t.source_offset or 0, t.size_bytes) for t in part.tensors), origin))


def _bytes_of(head: bytes, ranges: Iterator[tuple[int, int]], origin: FileOrigin) -> Iterator[bytes]:
    yield head
    for begin, size_bytes in ranges:
        yield from origin.read(begin, begin + size_bytes)
        yield bytes(aligned(size_bytes) - size_bytes)


def _opened(path: str, model: Model) -> Adapter:
    if not os.path.isfile(path):
        raise UsageError(f"lora: {path}: no such file; give the path of a GGUF, and --lora once for each of several")
    try:
        return check_adapter(read_header(path), model)
    except ModelFileError as error:
        raise UsageError(f"lora: {error}; give an adapter as llama.cpp's convert_lora_to_gguf.py writes it") from error

"""What makes two sources the same model: a fingerprint that needs the header and a little of each tensor.

It is the same for a file, its copy, the parts it was split into, and a URL that serves any of them: it does not
go by path, time, tensor order, alignment or the keys that only say how the file was split.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from cluster.api.errors import ModelFileError
from cluster.cutting.header import Header
from ggml.gguf.encode import encode_header
from ggml.gguf.header import TensorInfo
from ggml.gguf.value import MetadataValue

MAX_SAMPLES = 4096
SAMPLE_BYTES = 256

Range = tuple[int, int]  # bytes [begin, end) of a model, counted from the start of its file


def portable_metadata(header: Header) -> dict[str, MetadataValue]:
    """The metadata without what describes the file instead of the model, in file order."""
    dropped = ("split.", "general.alignment")
    return {key: value for key, value in header.metadata.items() if not key.startswith(dropped)}


def tensors_by_name(header: Header) -> tuple[TensorInfo, ...]:
    """The tensors in an order that all sources of a model agree on: its indices name tensors on the wire."""
    return tuple(sorted(header.tensors, key=lambda info: info.name))


def sample_ranges(header: Header) -> tuple[Range, ...]:
    """Where the fingerprint samples: the end of each tensor, which is also what an unfinished copy lacks.

    Of a model with more than MAX_SAMPLES tensors, evenly spread ones.
    """
    tensors = tensors_by_name(header)
    step = max(1, -(-len(tensors) // MAX_SAMPLES))
    return tuple(_end_of(header, info) for info in tensors[::step])


def fingerprint(header: Header, samples: Sequence[bytes]) -> str:
    """SHA-256 (hex) of the header and the bytes at `sample_ranges(header)`.

    It notices another model, another quantisation and a retrained or finetuned one, be it one tensor of it. A change
    that leaves the end of every tensor as it was goes unnoticed; the slice store also goes by the size and time or
    ETag of the source.
    """
    digest = hashlib.sha256(b"ggml-cluster model 2\0")
    digest.update(_canonical(header))
    for sample in samples:
        digest.update(sample)
    return digest.hexdigest()


def open_source(path: str) -> int:
    """A read-only descriptor of a model file; ModelFileError where it cannot be opened."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be opened: {error.strerror}") from error


def _canonical(header: Header) -> bytes:
    return encode_header(dict(sorted(portable_metadata(header).items())), tensors_by_name(header))


def _end_of(header: Header, info: TensorInfo) -> Range:
    end = header.data_start + info.offset + info.size_bytes
    return end - min(SAMPLE_BYTES, info.size_bytes), end

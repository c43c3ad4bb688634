"""What makes two files the same model: a fingerprint that does not need to read all of it."""

from __future__ import annotations

import hashlib
import os

from cluster.errors import ModelFileError
from cluster.gguf.header import Header

EDGE_BYTES = 4096


def model_hash(path: str | os.PathLike[str], header: Header) -> str:
    """SHA-256 (hex) of the header's bytes and the first and last 4 KiB of every tensor.

    Independent of path and mtime. It notices another model, another quantisation, a retrained or finetuned
    one and a truncated download. It cannot notice a change inside a tensor that leaves both its ends as they
    were; the store also goes by size and mtime. ModelFileError if `header` is not this file's.
    """
    digest = hashlib.sha256(b"ggml-cluster model 1\0")
    name = os.fspath(path)
    descriptor = open_source(name)
    try:
        if os.fstat(descriptor).st_size != header.file_size_bytes:
            raise ModelFileError(f"{name}: file: its size changed after its header was read")
        digest.update(_read(descriptor, header.data_start, 0, name))
        for info in header.tensors:
            start = header.data_start + info.offset
            head_bytes = min(EDGE_BYTES, info.size_bytes)
            tail_bytes = min(EDGE_BYTES, info.size_bytes - head_bytes)
            digest.update(_read(descriptor, head_bytes, start, name))
            digest.update(_read(descriptor, tail_bytes, start + info.size_bytes - tail_bytes, name))
    finally:
        os.close(descriptor)
    return digest.hexdigest()


def open_source(path: str) -> int:
    """A read-only descriptor of a model file; ModelFileError where it cannot be opened."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be opened: {error.strerror}") from error


def _read(descriptor: int, size_bytes: int, offset: int, name: str) -> bytes:
    data = os.pread(descriptor, size_bytes, offset)
    if len(data) != size_bytes:
        raise ModelFileError(f"{name}: file: truncated while it was read")
    return data

"""Tensors of a GGUF file, where they lie: the file is mapped."""

from __future__ import annotations

import mmap
import os
from typing import Any

import numpy as np

from ggml.core.errors import DTypeError, GgmlError
from ggml.gguf.cursor import shown
from ggml.io import naming
from ggml.io.mapped import Mapped, open_mapped
from ggml.ops.create.factories import Place, zeros
from ggml.ops.create.interop import from_buffer, over_private
from ggml.tensors.tensor import Tensor


def path_of(op: str, f: Any) -> str:
    """A path as a string, or DTypeError: what is open already cannot be mapped or replaced."""
    if not isinstance(f, (str, os.PathLike)):
        raise DTypeError(op, "a path", type(f).__name__)
    path = os.fspath(f)
    if not isinstance(path, str):
        raise DTypeError(op, "a path of text", type(path).__name__)
    return path


def load(f: Any, map_location: Place = None, *, weights_only: bool = True) -> dict[str, Tensor]:
    """The tensors of a GGUF file by name, in order. ``weights_only`` has no effect: such a file holds nothing else.

    They lie in the mapped file, so nothing is read before it is used; ``map_location`` moves them to a device. What is
    written into them stays in this process. The file may be replaced while it is mapped, but not cut short. A file
    that is not sound is a FileFormatError; one that cannot be opened is an OSError.
    """
    # A private copy of what is written to: a tensor's numpy() is writable.
    tensors = tensors_of(open_mapped(path_of("load", f), mmap.ACCESS_COPY))
    if map_location is None:
        return tensors
    return {name: tensor.to(map_location) for name, tensor in tensors.items()}


def tensors_of(file: Mapped) -> dict[str, Tensor]:
    """The tensors of a mapped file by name, in order, or FileFormatError."""
    raw = np.frombuffer(file.data, np.uint8)
    return {item.name: _tensor(file, item, raw) for item in naming.of_file(file)}


def _tensor(file: Mapped, item: naming.Named, raw: Any) -> Tensor:
    try:
        if 0 in item.shape:
            return _without_elements(item)
        assert item.stored_name is not None
        stored = file.tensors[item.stored_name]
        part = raw[stored.offset : stored.offset + stored.num_bytes]
        return over_private(part, dtype=item.dtype, shape=item.shape)
    except GgmlError as error:
        file.fail(shown(item.name), str(error))


def _without_elements(item: naming.Named) -> Tensor:
    if item.dtype.is_quantized:
        return from_buffer(b"", dtype=item.dtype, shape=item.shape)
    return zeros(item.shape, dtype=item.dtype)

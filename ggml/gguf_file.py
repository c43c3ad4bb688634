"""GGUF files for reading: the header, checked, and tensors over the mapped file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ggml.dtypes import QUANTIZED, DType, of_ggml_type
from ggml.errors import DTypeError, GgufError
from ggml.exchange import from_buffer
from ggml.tensor import Tensor
from worker_native import ggml_types, read_gguf

__all__ = ["GgufFile", "GgufTensor", "open_gguf", "plain_path"]

_NAMES = {number: name.lower() for name, number, *_ in ggml_types()}


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor's entry: ``shape`` slowest axis first, ``offset`` in bytes from the beginning of the file.

    ``type`` is ggml's name of the element type in lower case; not each of them is a dtype of ``ggml``.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    num_bytes: int
    ggml_type: int

    @property
    def is_quantized(self) -> bool:
        return self.type in QUANTIZED

    @property
    def dtype(self) -> DType:
        """The dtype, or DTypeError for types that only files have."""
        try:
            return of_ggml_type(self.ggml_type)
        except KeyError:
            raise DTypeError(self.name, "a type that ggml tensors have", self.type) from None


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A header. ``metadata`` maps keys to Python values; ``types`` to GGUF's names of their types."""

    path: Path
    version: int
    alignment: int
    num_bytes: int
    metadata: dict[str, Any]
    types: dict[str, str]
    tensors: tuple[GgufTensor, ...]

    def find(self, name: str) -> GgufTensor:
        """The entry of a tensor, or GgufError."""
        for tensor in self.tensors:
            if tensor.name == name:
                return tensor
        raise GgufError(self.path, f"there is no tensor {name!r}")

    def load(self, name: str) -> Tensor:
        """A tensor over the mapped file, read as it is used. The file must not change meanwhile."""
        entry = self.find(name)
        if entry.num_bytes == 0:
            return from_buffer(b"", dtype=entry.dtype, shape=entry.shape)
        mapped = np.memmap(self.path, np.uint8, mode="r", offset=entry.offset, shape=(entry.num_bytes,))
        return from_buffer(mapped, dtype=entry.dtype, shape=entry.shape)


def plain_path(op: str, path: Any) -> str:
    """A path as text that the libraries can open, or DTypeError or GgufError."""
    try:
        known = os.fsdecode(path)
    except TypeError:
        raise DTypeError(op, "a path", type(path).__name__) from None
    if "\0" in known or not _is_utf8(known):
        raise GgufError(ascii(known), "is no name in UTF-8")
    return known


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def open_gguf(path: str | os.PathLike[str]) -> GgufFile:
    """Read and check a header. GgufError for a file that is missing, no GGUF, damaged or cut short."""
    known = plain_path("open_gguf", path)
    try:
        header = read_gguf(known)
        num_bytes = os.stat(known).st_size
    except (ValueError, RuntimeError, MemoryError, OSError) as error:
        raise GgufError(known, str(error).removeprefix(f"path: '{known}' ")) from None
    types = {key: type_name for key, (type_name, _) in header["metadata"].items()}
    values = {key: value for key, (_, value) in header["metadata"].items()}
    tensors = tuple(_entry(*row) for row in header["tensors"])
    for tensor in tensors:
        if tensor.offset + tensor.num_bytes > num_bytes:
            end = tensor.offset + tensor.num_bytes
            raise GgufError(known, f"tensor {tensor.name!r} ends at byte {end} of {num_bytes}: the file is cut short")
    return GgufFile(Path(known), header["version"], header["alignment"], num_bytes, values, types, tensors)


def _entry(name: str, number: int, shape: tuple[int, ...], offset: int, num_bytes: int) -> GgufTensor:
    return GgufTensor(name, _NAMES[number], shape, offset, num_bytes, number)

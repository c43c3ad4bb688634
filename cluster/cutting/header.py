"""The header of a model's file: what GGUF says, the keys that every model has, and this side's errors.

Files are opened here, and only here: what the reader finds wrong with one leaves this module as a ModelFileError.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

from cluster.api.errors import ModelFileError
from ggml.gguf import header, reader
from ggml.gguf.errors import GgufError
from ggml.gguf.value import ValueType


@dataclass(frozen=True, slots=True)
class Header(header.Header):
    """The header of a model, or of one of the files that it is split into."""

    def error(self, field: str, why: str) -> ModelFileError:
        """The error to raise about `field`."""
        return ModelFileError(f"{self.path}: {field}: {why}")

    @property
    def architecture(self) -> str:
        found = self.get("general.architecture", ValueType.STRING)
        if not found:
            raise self.error("general.architecture", "missing")
        return str(found)

    @property
    def num_nextn_layers(self) -> int:
        """Layers behind the last one that predict further tokens; nothing here runs them."""
        return self.uint32(f"{self.architecture}.nextn_predict_layers", 0)

    @property
    def num_layers(self) -> int:
        """Layers of the model proper, those that predict further tokens not counted."""
        return self.uint32(f"{self.architecture}.block_count") - self.num_nextn_layers

    @property
    def num_parameters(self) -> int:
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    @property
    def weight_bytes(self) -> int:
        """Of all tensors."""
        return sum(tensor.size_bytes for tensor in self.tensors)

    @property
    def hidden_width(self) -> int:
        return self.uint32(f"{self.architecture}.embedding_length")


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read and validate the header of `path`; ModelFileError for anything that is not a sound, whole model."""
    found = read_part(path)
    num_parts = num_parts_of(found)
    if num_parts > 1:
        raise found.error("split.count", f"one of {num_parts} parts of a model; name the first of them")
    return found


def num_parts_of(header: Header) -> int:
    """How many files the model is split into; 1 where it is whole."""
    found = header.metadata.get("split.count")
    if found is None:
        return 1
    if not isinstance(found.value, int):
        raise header.error("split.count", f"has type {found.type.name}, must be a number")
    return max(1, found.value)


def read_part(path: str | os.PathLike[str]) -> Header:
    """The same for a file that may be one of several parts."""
    name = os.fspath(path)
    try:
        with _as_model_file_error():
            return _of_model(reader.read_header(name))
    except OSError as error:
        raise ModelFileError(f"{name}: cannot be opened: {error.strerror}") from error


def parse_header(data: memoryview, name: str, file_size_bytes: int) -> Header:
    """The header at the beginning of `data`, which begins a file of `file_size_bytes` that errors call `name`.

    HeaderIncomplete where `data` ends before the header does; ModelFileError as for a file.
    """
    with _as_model_file_error():
        return _of_model(reader.parse_header(data, name, file_size_bytes))


@contextmanager
def _as_model_file_error() -> Iterator[None]:
    try:
        yield
    except GgufError as error:
        raise ModelFileError(str(error)) from error


def _of_model(found: header.Header) -> Header:
    return Header(**{field.name: getattr(found, field.name) for field in fields(found)})

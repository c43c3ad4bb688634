"""The header of a GGUF file as frozen data. Shapes are in PyTorch order, sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ggml.gguf.errors import GgufError
from ggml.gguf.tensor_types import TensorType
from ggml.gguf.value import MetadataArray, MetadataValue, ValueType


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor. `shape` is in PyTorch order (rows first), `offset` counts from `Header.data_start`."""

    name: str
    shape: tuple[int, ...]
    type: TensorType
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF says about itself: metadata and tensors in file order. It keeps no file open."""

    path: str
    version: int
    alignment: int
    metadata: Mapping[str, MetadataValue]
    tensors: tuple[TensorInfo, ...]
    data_start: int
    file_size_bytes: int
    mtime_ns: int

    def error(self, field: str, why: str) -> ValueError:
        """The error to raise about `field`."""
        return GgufError(self.path, field, why)

    def get(self, key: str, kind: ValueType) -> int | float | bool | str | MetadataArray | None:
        """The value of `key`, None where it is missing, an error where its type is not `kind`.

        libllama takes no type but the one it expects, so a near miss (an int32 for a uint32) is an error.
        """
        found = self.metadata.get(key)
        if found is None:
            return None
        if found.type is not kind:
            raise self.error(key, f"has type {found.type.name}, must be {kind.name}")
        return found.value

    def uint32(self, key: str, default: int | None = None) -> int:
        """A UINT32 key; an error where it is missing and has no default."""
        found = self.get(key, ValueType.UINT32)
        if found is None and default is None:
            raise self.error(key, "missing")
        value = default if found is None else found
        assert isinstance(value, int)
        return value

"""What a header says of the tensors, without the file's data."""

from __future__ import annotations

import mmap
from dataclasses import replace
from pathlib import Path

import pytest

import ggml
from ggml.core.errors import FileFormatError
from ggml.gguf.header import Header
from ggml.gguf.value import MetadataArray, MetadataValue, ValueType, string
from ggml.io.listed import listed
from ggml.io.mapped import open_mapped


def header_of(folder: Path) -> Header:
    path = folder / "x.gguf"
    ggml.save({"a": ggml.ones(2, 3), "b": ggml.zeros(4, dtype=ggml.int64)}, path)
    return open_mapped(str(path), mmap.ACCESS_READ).header


def test_tensors_are_listed_as_they_lie(tmp_path: Path) -> None:
    header = header_of(tmp_path)
    found = listed(header).tensors
    assert [(one.name, one.shape, one.dtype, one.num_bytes) for one in found.values()] == [
        ("a", (2, 3), ggml.float32, 24), ("b", (4,), ggml.int64, 32),
    ]  # fmt: skip
    raw = (tmp_path / "x.gguf").read_bytes()
    assert raw[found["a"].offset :][:24] == ggml.ones(2, 3).numpy().tobytes()


def test_bytes_are_read_only_from_arrays_of_bytes(tmp_path: Path) -> None:
    header = header_of(tmp_path)
    keys = {
        "bytes": MetadataValue(ValueType.ARRAY, MetadataArray(ValueType.UINT8, 3, b"abc")),
        "numbers": MetadataValue(ValueType.ARRAY, MetadataArray(ValueType.INT8, 3, b"abc")),
        "text": string("abc"),
    }
    found = listed(replace(header, metadata={**header.metadata, **keys}))
    assert found.array_of_bytes("bytes") == b"abc"
    assert [found.array_of_bytes(key) for key in ("numbers", "text", "absent")] == [None] * 3
    with pytest.raises(FileFormatError, match=r"x\.gguf.*text.*why"):
        found.fail("text", "why")

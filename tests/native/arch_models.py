"""Tiny models of llama.cpp's architectures, made from the descriptions in tests/archs."""

from __future__ import annotations

import json
import lzma
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cluster.gguf.encode import ALIGNMENT, encode_header
from cluster.gguf.tensor_types import F32, TensorType
from cluster.gguf.value import SCALAR_FORMAT, MetadataArray, MetadataValue, ValueType, string_array

DESCRIPTIONS = Path(__file__).parents[1] / "archs" / "models.json.xz"


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    type: TensorType = F32

    @property
    def size_bytes(self) -> int:
        return int(np.prod(self.shape)) * 4


@cache
def descriptions() -> Mapping[str, Any]:
    """name -> {"metadata": {key: [type, value]}, "tensors": [[name, shape, type]]}"""
    return json.loads(lzma.decompress(DESCRIPTIONS.read_bytes()))  # type: ignore[no-any-return]


def architecture_of(name: str) -> str:
    return str(descriptions()[name]["metadata"]["general.architecture"][1])


def metadata_of(name: str, changes: Mapping[str, Any] | None = None) -> dict[str, MetadataValue]:
    """The keys of a model; `changes` sets {arch}.X of those it has."""
    architecture = architecture_of(name)
    found = {key: list(value) for key, value in descriptions()[name]["metadata"].items()}
    for key, value in (changes or {}).items():
        if f"{architecture}.{key}" in found:
            found[f"{architecture}.{key}"][1] = value
    return {key: _value(*value) for key, value in found.items() if value != ["ARRAY:STRING", []]}


def tensors_of(name: str) -> tuple[Tensor, ...]:
    return tuple(Tensor(name, tuple(shape)) for name, shape, _ in descriptions()[name]["tensors"])


def write_model(path: Path, name: str, changes: Mapping[str, Any] | None = None) -> Path:
    """Random weights of standard deviation 0.1, seeded by each tensor's name."""
    tensors = tensors_of(name)
    with path.open("wb") as file:
        file.write(encode_header(metadata_of(name, changes), tensors))
        for tensor in tensors:
            file.write(_random(tensor).tobytes())
            file.write(bytes(-tensor.size_bytes % ALIGNMENT))
    return path


def _random(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    rng = np.random.default_rng(zlib.crc32(tensor.name.encode()))
    values = rng.standard_normal(tensor.shape, dtype=np.float32) * np.float32(0.1)
    return -np.abs(values) if "ssm_a" in tensor.name else values


def _value(kind: str, value: Any) -> MetadataValue:
    name, _, element = kind.partition(":")
    if not element:
        return MetadataValue(ValueType[name], value)
    if element == "STRING":
        return string_array(tuple(value))
    array = np.array(value, dtype=SCALAR_FORMAT[ValueType[element]])
    return MetadataValue(ValueType.ARRAY, MetadataArray(ValueType[element], len(value), array.tobytes()))

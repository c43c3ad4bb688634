"""Files of safetensors: a header of JSON that says where each tensor lies, then their elements."""

from __future__ import annotations

import json
import math
import os
from typing import Any, NoReturn

import numpy as np

from ggml.core.errors import FileFormatError
from ggml.core.node import MAX_RANK
from ggml.gguf.cursor import shown
from ggml.io.arrays import ELEMENTS, as_tensor
from ggml.tensors.tensor import Tensor

# The format's own names of dtypes.
_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32", "I16": "int16",
          "I8": "int8", "U8": "uint8", "U16": "uint16", "U32": "uint32", "BOOL": "bool"}  # fmt: skip

#: The limit of the format's own reader.
_MAX_HEADER_BYTES = 100_000_000


def is_safetensors(start: bytes, num_bytes: int) -> bool:
    """Whether a file of this many bytes that begins so has such a header."""
    return len(start) >= 9 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= num_bytes - 8


def load_safetensors(path: str) -> dict[str, Tensor]:
    """The tensors by name, in the file's order. FileFormatError for a file that is not sound."""
    data = np.memmap(path, np.uint8, mode="r")
    if data.size < 8:
        _fail(path, "file", "is too short for a header")
    header_bytes = int.from_bytes(data[:8].tobytes(), "little")
    if header_bytes > min(data.size - 8, _MAX_HEADER_BYTES):
        _fail(path, "header", f"says that it has {header_bytes} bytes")
    try:
        header = json.loads(data[8 : 8 + header_bytes].tobytes())
    except (ValueError, RecursionError):
        _fail(path, "header", "is no JSON")
    if not isinstance(header, dict):
        _fail(path, "header", "is no object")
    header.pop("__metadata__", None)
    elements = data[8 + header_bytes :]
    _check_places(path, header, elements.size)
    return {name: _tensor(path, name, entry, elements) for name, entry in header.items()}


def _check_places(path: str, header: dict[str, Any], num_bytes: int) -> None:
    """Tensors lie one after the other, and fill the file: the format allows neither gaps nor overlaps."""
    places = []
    for name, entry in header.items():
        match entry:
            case {"dtype": str(), "shape": [*shape], "data_offsets": [int(begin), int(end)]} if len(
                shape
            ) <= MAX_RANK and all(type(one) is int and 0 <= one < 1 << 62 for one in shape):
                places.append((begin, end))
            case _:
                _fail(path, shown(name), "has no dtype, shape and data_offsets")
    at = 0
    for begin, end in sorted(places):
        if begin != at or end < begin:
            _fail(path, "data_offsets", f"{begin} follows {at}: there must be no gaps and no overlaps")
        at = end
    if at != num_bytes:
        _fail(path, "data_offsets", f"end at {at} of {num_bytes} bytes")


def _tensor(path: str, name: str, entry: dict[str, Any], elements: Any) -> Tensor:
    known = _NAMES.get(entry["dtype"])
    if known is None:
        _fail(path, shown(name), f"has the dtype {shown(entry['dtype'])}, for which there is none here")
    stored, dtype = ELEMENTS[known]
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if end - begin != math.prod(shape) * stored.itemsize:
        _fail(path, shown(name), f"has {end - begin} bytes for the shape {shape}")
    return as_tensor(np.frombuffer(elements[begin:end].tobytes(), stored).reshape(shape), dtype)


def _fail(path: str, field: str, why: str) -> NoReturn:
    raise FileFormatError(os.fspath(path), field, why)

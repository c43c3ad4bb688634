"""Dicts, lists and numbers with tensors among them, as one GGUF file: the state dicts of everything that is trained.

Tensors are stored as ``ggml.save`` stores them. The key ``ggml.nested`` holds the rest as JSON, where each container is
a list whose first item says what it is, and the key ``ggml.digest`` a digest of everything, so that damage shows.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ggml.core.dtypes import int32
from ggml.core.errors import ArgumentError, DTypeError, FileFormatError
from ggml.gguf.ours import NESTED
from ggml.io import writing
from ggml.io.mapped import Mapped, open_mapped
from ggml.io.reading import path_of, tensors_of
from ggml.ops.create.interop import from_numpy
from ggml.tensors.tensor import Tensor

_KEY = "ggml.nested"
_DIGEST = "ggml.digest"

#: Deeper than any state; what is deeper holds itself.
_MAX_DEPTH = 64

_MAPPINGS: dict[str, Callable[[list[Any]], Any]] = {"dict": dict, "ordered": OrderedDict,
                                                    "counter": lambda pairs: Counter(dict(pairs))}  # fmt: skip
#: Arrays of NumPy that states hold, such as the counter of a generator. Their bytes are stored as int32.
_ARRAYS = {
    name: np.dtype(name) for name in ("bool", "int32", "int64", "uint8", "uint32", "uint64", "float32", "float64")
}


def save_nested(obj: Any, f: Any) -> None:
    """Write dicts, lists, tuples, numbers, strings, None, arrays and tensors, in any nesting.

    The file appears under its name when it is complete. DTypeError names what cannot be written and where it stands.
    """
    tensors: dict[str, Tensor] = {}
    try:
        text = json.dumps(_written(obj, tensors, "state", 0)).encode()
    except UnicodeEncodeError as error:
        raise ArgumentError("save", "a string", f"cannot be written as UTF-8: {error.reason}") from None
    extra = {_KEY: text, _DIGEST: _digest(text, tensors)}
    writing.write(path_of("save", f), tensors, NESTED, extra)


def load_nested(f: Any) -> Any:
    """What ``save_nested`` wrote, with tensors that lie in the mapped file.

    FileFormatError for a file of another kind, or one that is damaged: every byte is read and compared with the
    digest. OSError where it cannot be opened.
    """
    file = open_mapped(path_of("load", f), mmap.ACCESS_COPY)
    text = file.array_of_bytes(_KEY)
    if text is None:
        file.fail(_KEY, "is not there: the file holds no nested state")
    tensors = tensors_of(file)
    if file.array_of_bytes(_DIGEST) != _digest(text, tensors):
        file.fail(_DIGEST, "is another one: the file is damaged")
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        file.fail(_KEY, "is no JSON")
    return _read(listed, tensors, file, 0)


def _digest(text: bytes, tensors: Mapping[str, Tensor]) -> bytes:
    """Of the structure and of all elements. It finds damage; it does not say who wrote the file."""
    digest = hashlib.blake2b(text, digest_size=32)
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype.name} {tuple(tensor.shape)}".encode())
        raw: Any = writing.bytes_of(tensor)
        digest.update(raw)
    return digest.digest()


def _written(value: Any, tensors: dict[str, Tensor], where: str, depth: int) -> Any:
    """The value as JSON has it; tensors are put aside."""
    if depth > _MAX_DEPTH:
        raise ArgumentError("save", where, f"is nested more than {_MAX_DEPTH} deep: it may hold itself")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        return value.item()
    if isinstance(value, Tensor):
        return ["tensor", _put(value.detach(), tensors, where)]
    if isinstance(value, np.ndarray):
        if value.dtype.name not in _ARRAYS:
            raise DTypeError("save", f"an array of {', '.join(_ARRAYS)} at {where}", value.dtype)
        raw = value.tobytes()
        words = np.frombuffer(raw + bytes(-len(raw) % 4), np.int32).copy()
        return ["array", value.dtype.name, list(value.shape), _put(from_numpy(words), tensors, where)]
    if isinstance(value, (list, tuple)):
        items = [_written(item, tensors, f"{where}.{place}", depth + 1) for place, item in enumerate(value)]
        return ["list" if isinstance(value, list) else "tuple", items]
    if isinstance(value, Mapping):
        kind = "counter" if isinstance(value, Counter) else "ordered" if isinstance(value, OrderedDict) else "dict"
        pairs = []
        for place, (key, item) in enumerate(value.items()):
            if not (key is None or isinstance(key, (bool, int, float, str))):
                raise DTypeError("save", f"strings or numbers as keys of {where}", type(key).__name__)
            name = f"{where}.{key if len(str(key)) < 128 else place}"
            pairs.append([key, _written(item, tensors, name, depth + 1)])
        return [kind, pairs]
    what = f"{type(value).__module__}.{type(value).__qualname__}"
    raise DTypeError("save", f"tensors, arrays, numbers, strings, None, dicts, lists or tuples at {where}", what)


def _put(value: Tensor, tensors: dict[str, Tensor], where: str) -> str:
    """The name that the tensor has in the file: where it stands, which two may say alike, as keys 1 and "1" do."""
    while where in tensors:
        where += "'"
    tensors[where] = value
    return where


def _read(listed: Any, tensors: Mapping[str, Tensor], file: Mapped, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise _damaged(file, "is nested too deep")
    if listed is None or isinstance(listed, (bool, int, float, str)):
        return listed
    if not isinstance(listed, list):
        raise _damaged(file, "holds an object")
    match listed:
        case ["tensor", str(name)] if name in tensors:
            return tensors[name]
        case ["array", str(kind), list(shape), str(name)] if kind in _ARRAYS and name in tensors:
            return _array(file, kind, shape, tensors[name])
        case ["list" | "tuple" as kind, list(items)]:
            found = [_read(item, tensors, file, depth + 1) for item in items]
            return found if kind == "list" else tuple(found)
        case [str(kind), list(pairs)] if kind in _MAPPINGS:
            return _MAPPINGS[kind]([_pair(pair, tensors, file, depth) for pair in pairs])
        case _:
            raise _damaged(file, "has an item of no known kind")


def _pair(pair: Any, tensors: Mapping[str, Tensor], file: Mapped, depth: int) -> tuple[Any, Any]:
    if not isinstance(pair, list) or len(pair) != 2 or isinstance(pair[0], (list, dict)):
        raise _damaged(file, "has an entry that is no pair of a key and a value")
    return pair[0], _read(pair[1], tensors, file, depth + 1)


def _array(file: Mapped, kind: str, shape: list[Any], words: Tensor) -> Any:
    dtype = _ARRAYS[kind]
    if words.dtype is not int32 or any(type(one) is not int or one < 0 for one in shape):
        raise _damaged(file, "has an array that is not stored as one")
    num_bytes = math.prod(shape) * dtype.itemsize
    raw = words.raw_bytes()
    if not num_bytes <= len(raw) < num_bytes + 4:
        raise _damaged(file, "has an array whose shape does not fit its bytes")
    return np.frombuffer(raw[:num_bytes], dtype).reshape(shape).copy()


def _damaged(file: Mapped, why: str) -> FileFormatError:
    return FileFormatError(file.header.path, _KEY, why)


__all__ = ["load_nested", "save_nested"]

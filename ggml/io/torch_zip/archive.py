"""The archive: a zip without compression, with a pickle of the structure and a file for each storage."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.errors import FileFormatError, GgmlError
from ggml.core.node import MAX_RANK
from ggml.gguf.cursor import shown
from ggml.io.arrays import ELEMENTS, as_tensor
from ggml.io.torch_zip.machine import Machine, Refused
from ggml.tensors.tensor import Tensor

# PyTorch's classes of storages, which say the dtype.
_STORAGES = {"FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
             "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
             "ByteStorage": "uint8", "BoolStorage": "bool", "DoubleStorage": "float64"}  # fmt: skip

#: Tensors may show a storage several times; a file that makes more of its bytes than this is an attack.
_MAX_GROWTH = 16


@dataclass(frozen=True, slots=True)
class _Kind:
    """A class of storages, by the dtype of its elements."""

    dtype: str


@dataclass(frozen=True, slots=True)
class _Storage:
    """Elements in the archive, which are read when a tensor shows them."""

    key: str
    dtype: str
    count: int


#: Where a tensor goes when it was read.
Move = Callable[[Tensor], Tensor]


def load_torch_zip(path: str, move: Move) -> Any:
    """What ``torch.save`` wrote: tensors, dicts, lists, tuples, sets, numbers, strings and bytes.

    FileFormatError names what else a file asks for, and says where it is not sound. Parameters are tensors that require
    a gradient; int8, uint8 and int16 become int32.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _Archive(path, archive, move).load()
    except Refused as refused:
        raise FileFormatError(path, "data.pkl", str(refused)) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeError, ValueError) as error:
        if isinstance(error, GgmlError):
            raise
        raise FileFormatError(path, "archive", f"is no sound zip: {error}") from error


class _Archive:
    def __init__(self, path: str, archive: zipfile.ZipFile, move: Move) -> None:
        self._path, self._archive, self._move = path, archive, move
        found = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(found) != 1:
            raise FileFormatError(path, "data.pkl", "is not there once: no checkpoint of torch.save")
        self._folder = found[0].removesuffix("data.pkl")
        self._left = _MAX_GROWTH * (os.path.getsize(path) + (1 << 16))
        self._last: tuple[_Storage | None, bytes] = None, b""

    def load(self) -> Any:
        if f"{self._folder}byteorder" in self._archive.namelist() and self._read("byteorder") != b"little":
            raise FileFormatError(self._path, "byteorder", "is not little")
        return Machine(self._makers(), _constants(), self._persistent).run(self._read("data.pkl"))

    def _makers(self) -> dict[str, Callable[..., Any]]:
        return {
            "collections.OrderedDict": lambda pairs=(): OrderedDict(_pairs(pairs)),
            "collections.Counter": lambda counts: Counter(dict(_pairs(counts.items()))),
            "torch.Size": lambda extents: tuple(extents),
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_parameter": _parameter,
            "__builtin__.set": lambda items: {one for one in items if _is_plain(one)},
            "builtins.set": lambda items: {one for one in items if _is_plain(one)},
            "_codecs.encode": _encoded,
        }

    def _read(self, name: str) -> bytes:
        try:
            info = self._archive.getinfo(self._folder + name)
        except KeyError:
            raise FileFormatError(self._path, shown(name), "is not in the archive") from None
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size or info.flag_bits & 1:
            raise FileFormatError(self._path, shown(name), "is compressed or encrypted, which torch.save does not do")
        self._pay(info.file_size)
        return self._archive.read(info)

    def _pay(self, num_bytes: int) -> None:
        self._left -= num_bytes
        if self._left < 0:
            raise Refused(f"makes more than {_MAX_GROWTH} times the file's size of it")

    def _persistent(self, name: Any) -> _Storage:
        match name:
            case ("storage", _Kind(dtype), str(key), str(), int(count)) if count >= 0:
                if dtype not in ELEMENTS:
                    raise Refused(f"holds {dtype}, for which there is no dtype here: save it as float32")
                return _Storage(key, dtype, count)
        raise Refused("names a storage as torch.save does not")

    def _tensor(self, storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any, *_: Any) -> Tensor:
        if not isinstance(storage, _Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
            raise Refused("has a tensor without storage, shape and strides")
        numbers = (offset, *shape, *strides)
        if any(type(one) is not int or not 0 <= one < 1 << 62 for one in numbers) or len(shape) != len(strides):
            raise Refused("has a tensor of which shape and strides make no sense")
        if len(shape) > MAX_RANK:
            raise Refused(f"has a tensor of {len(shape)} axes; at most {MAX_RANK} are possible")
        stored, dtype = ELEMENTS[storage.dtype]
        count = math.prod(shape)
        last = offset + sum((extent - 1) * stride for extent, stride in zip(shape, strides, strict=True))
        if count and (last >= storage.count or count > storage.count):
            raise Refused(f"has a tensor {shape} with strides {strides} in a storage of {storage.count} elements")
        elements = np.zeros(0, stored) if not count else np.frombuffer(self._bytes(storage, stored.itemsize), stored)
        self._pay(count * max(dtype.itemsize, 4))
        steps = [stride * stored.itemsize for stride in strides]
        part = elements[offset:] if count else elements
        view = np.lib.stride_tricks.as_strided(part, shape, steps, writeable=False) if count else part.reshape(shape)
        tensor = self._move(as_tensor(view, dtype))
        return tensor.requires_grad_() if requires_grad is True and dtype.is_floating_point else tensor

    def _bytes(self, storage: _Storage, itemsize: int) -> bytes:
        """The elements; those of the last storage are kept, for tensors that share one mostly follow each other."""
        if self._last[0] != storage:
            raw = self._read(f"data/{storage.key}")
            if len(raw) < storage.count * itemsize:
                raise FileFormatError(self._path, f"data/{shown(storage.key)}", f"is too short for {storage.count}")
            self._last = storage, raw[: storage.count * itemsize]
        return self._last[1]


def _constants() -> dict[str, Any]:
    """What may be named and is not called: dtypes, and classes of storages."""
    known = {f"torch.{name}": dtype for name, dtype in dtypes.ALL.items() if not dtype.is_quantized}
    return known | {f"torch.{name}": _Kind(dtype) for name, dtype in _STORAGES.items()}


def _parameter(data: Any, requires_grad: Any = True, *_: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise Refused("has a parameter without a tensor")
    return data.requires_grad_() if requires_grad is True and data.dtype.is_floating_point else data


def _is_plain(value: Any) -> bool:
    """A key or an item of a set: hashing what is nested deep would end the process."""
    if not isinstance(value, (str, int, float, bytes, type(None))):
        raise Refused(f"has a key of type {type(value).__name__}")
    return True


def _pairs(pairs: Any) -> list[tuple[Any, Any]]:
    return [(key, value) for key, value in pairs if _is_plain(key)]


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    """How protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused("asks for '_codecs.encode' of other than bytes")
    return text.encode("latin1")

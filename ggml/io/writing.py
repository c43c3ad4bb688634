"""Tensors into a GGUF file, which is there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, DTypeError
from ggml.gguf.limits import MAX_ARRAY_ITEMS, MAX_STRING_BYTES
from ggml.gguf.ours import STATE
from ggml.gguf.tensor_types import I8
from ggml.gguf.value import MetadataArray, MetadataValue, ValueType
from ggml.io import naming
from ggml.io.reading import path_of
from ggml.ops.create.interop import from_dlpack
from ggml.tensors.tensor import Tensor


def save(obj: Any, f: Any) -> None:
    """Write a dict of tensors (a state dict) as GGUF, every dtype byte for byte, quantised ones included.

    The file appears under its name when it is complete: whatever fails before leaves what was there. ArgumentError or
    DTypeError for what is not a tensor under a name; OSError where the file cannot be written.
    """
    write(path_of("save", f), _checked(obj), STATE, {})


def write(f: str, tensors: Mapping[str, Tensor], architecture: str, extra: Mapping[str, bytes | MetadataValue]) -> None:
    """Write tensors as ``save`` does, under a name that says what the file is, with keys beside them: arrays of bytes,
    or values as another file has them.

    ArgumentError where the header would be larger than one may be.
    """
    path = Path(os.path.realpath(f))
    for key, raw in extra.items():
        if isinstance(raw, bytes) and len(raw) > MAX_ARRAY_ITEMS:
            raise ArgumentError("save", key, f"takes {len(raw)} bytes; at most {MAX_ARRAY_ITEMS} are possible")
    items = naming.named([(name, one.dtype, tuple(one.shape)) for name, one in tensors.items()])
    names = naming.to_json(items)
    if len(names) > MAX_STRING_BYTES:
        raise ArgumentError("save", f"a dict of {len(items)} tensors", "has more to say of them than a header can hold")
    with replacing(path) as temporary:
        _write(temporary, architecture, items, tensors, {naming.KEY: names, **extra})


def _checked(obj: Any) -> dict[str, Tensor]:
    if not isinstance(obj, Mapping):
        raise DTypeError("save", "a dict of tensors, such as module.state_dict()", type(obj).__name__)
    return {_name(name): _as_tensor(name, value) for name, value in obj.items()}


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise DTypeError("save", "strings as names", type(name).__name__)
    try:
        num_bytes = len(name.encode())
    except UnicodeEncodeError:
        raise ArgumentError("save", ascii(name), "cannot be written as UTF-8") from None
    if num_bytes > 65535:
        raise ArgumentError("save", f"{name[:40]!r}...", "is a name of more than 65535 bytes")
    return name


def _as_tensor(name: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if not hasattr(value, "__dlpack__"):
        raise DTypeError("save", f"a tensor as {name!r}", type(value).__name__)
    return from_dlpack(value.detach() if hasattr(value, "detach") else value)


def _write(
    path: Path,
    architecture: str,
    items: list[naming.Named],
    tensors: Mapping[str, Tensor],
    values: Mapping[str, str | bytes | MetadataValue],
) -> None:
    from gguf import GGUFValueType, GGUFWriter  # takes a while to import

    writer = GGUFWriter(path, architecture)
    try:
        for key, value in values.items():
            if isinstance(value, str):
                writer.add_string(key, value)
            elif isinstance(value, MetadataValue):
                plain, element = _plain(value)
                sub_type = None if element is None else GGUFValueType(element)
                writer.add_key_value(key, plain, GGUFValueType(value.type), sub_type)
            else:
                writer.add_array(key, value)
        stored = [item for item in items if item.stored_name is not None]
        for item in stored:
            kind = I8.number if item.dtype is dtypes.bool_ else item.dtype.ggml_type
            count = int(np.prod(item.shape, dtype=np.int64))
            num_bytes = count if item.dtype is dtypes.bool_ else item.dtype.num_bytes(count)
            writer.add_tensor_info(item.stored_name, item.stored_shape, np.dtype(np.int8), num_bytes, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for item in stored:
            writer.write_tensor_data(bytes_of(tensors[item.name]))
    finally:
        writer.close()


def _plain(value: MetadataValue) -> tuple[Any, ValueType | None]:
    """What the writer takes, and the type of an array's elements."""
    found = value.value
    if not isinstance(found, MetadataArray):
        return found, None
    is_text = found.element_type is ValueType.STRING
    return (found.strings() if is_text else found.numbers().tolist()), found.element_type


def bytes_of(tensor: Tensor) -> NDArray[Any]:
    """The elements as they lie in the file; on the CPU without a copy, save for bools."""
    if tensor.dtype is dtypes.bool_:
        return tensor.cpu().numpy().reshape(-1).view(np.uint8)
    buffer = tensor.buffer()
    num_bytes = tensor.dtype.num_bytes(tensor.numel())
    if tensor.device.is_cpu:
        shared: NDArray[Any] = np.from_dlpack(buffer.view([num_bytes], 1, 8, 1, 0))
        return shared
    return np.frombuffer(tensor.raw_bytes(), np.uint8)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write to; it takes the place of ``path`` at the end, or goes."""
    temporary = path.with_name(f".{path.name[:80]}.{secrets.token_hex(6)}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

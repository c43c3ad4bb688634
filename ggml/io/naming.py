"""What GGUF cannot say of a tensor, kept beside it: long names, bools, shapes of other than 1 to 4 extents.

The metadata key ``ggml.state`` is there only if it is needed. It holds JSON: for each tensor, in order, its name, its
name in the file (null if it has no elements, and so no bytes), its dtype and its shape.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ggml.core import dtypes
from ggml.core.dtypes import DType
from ggml.core.errors import DTypeError
from ggml.core.node import MAX_RANK
from ggml.gguf.cursor import shown
from ggml.gguf.limits import LIBLLAMA, MAX_DIMS
from ggml.gguf.tensor_types import I8
from ggml.io.listed import Listed, Stored

KEY = "ggml.state"


@dataclass(frozen=True, slots=True)
class Named:
    """A tensor outside of the file. ``stored_name`` is None if it has no elements."""

    name: str
    stored_name: str | None
    dtype: DType
    shape: tuple[int, ...]

    @property
    def is_plain(self) -> bool:
        """Whether GGUF itself says everything."""
        return self.name == self.stored_name and self.dtype is not dtypes.bool_ and 0 < len(self.shape) <= MAX_DIMS

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape in the file; more than four axes are two there."""
        if 0 < len(self.shape) <= MAX_DIMS:
            return self.shape
        return (math.prod(self.shape[:-1]), self.shape[-1]) if self.shape else (1,)


def named(items: Sequence[tuple[str, DType, tuple[int, ...]]]) -> list[Named]:
    """A name in the file for each tensor: its own, or a number where that is too long."""
    taken = {name for name, _, _ in items}
    result = []
    for place, (name, dtype, shape) in enumerate(items):
        stored_name = name
        if not name or "\0" in name or len(name.encode()) > LIBLLAMA.max_tensor_name_bytes:
            stored_name = f"tensor {place}"
            while stored_name in taken:
                stored_name += "'"
            taken.add(stored_name)
        result.append(Named(name, None if 0 in shape else stored_name, dtype, shape))
    return result


def to_json(items: Sequence[Named]) -> str:
    """The value of the key; empty if it is not needed."""
    if all(item.is_plain for item in items):
        return ""
    return json.dumps([[item.name, item.stored_name, item.dtype.name, list(item.shape)] for item in items])


def of_file(file: Listed) -> list[Named]:
    """The tensors of a file, or FileFormatError where the key contradicts it."""
    found = file.header.metadata.get(KEY)
    if found is None:
        return [_plain(file, stored) for stored in file.tensors.values()]
    try:
        listed = json.loads(found.value) if isinstance(found.value, str) else None
    except (ValueError, RecursionError):
        listed = None
    if not isinstance(listed, list):
        file.fail(KEY, "is not a list as JSON")
    result = [_entry(file, place, entry) for place, entry in enumerate(listed)]
    names = [item.name for item in result]
    stored = [item.stored_name for item in result if item.stored_name is not None]
    if len(set(names)) != len(names) or len(set(stored)) != len(stored):
        file.fail(KEY, "has a name twice")
    if set(stored) != set(file.tensors):
        file.fail(KEY, "does not name every tensor of the file")
    return result


def _plain(file: Listed, stored: Stored) -> Named:
    if stored.dtype is None:
        file.fail(shown(stored.name), "holds int8, for which there is no dtype")
    return Named(stored.name, stored.name, stored.dtype, stored.shape)


def _entry(file: Listed, place: int, entry: object) -> Named:
    field = f"{KEY}[{place}]"
    if not isinstance(entry, list) or len(entry) != 4:
        file.fail(field, "is not a list of four")
    name, stored_name, kind, extents = entry
    if not isinstance(name, str) or not isinstance(kind, str) or not isinstance(extents, list):
        file.fail(field, "has no name, dtype and shape")
    if any(type(extent) is not int or not 0 <= extent < 1 << 62 for extent in extents) or len(extents) > MAX_RANK:
        file.fail(field, "has a shape that no tensor has")
    try:
        dtype = dtypes.dtype_named(kind)
    except DTypeError:
        file.fail(field, f"has the unknown dtype {shown(kind)}")
    found = Named(name, None if stored_name is None else str(stored_name), dtype, tuple(extents))
    _check(file, field, found)
    return found


def _check(file: Listed, field: str, found: Named) -> None:
    """The file must hold just as many elements, of the same type."""
    if found.stored_name is None:
        if 0 not in found.shape:
            file.fail(field, f"has no data for {found.shape}")
        return
    stored = file.tensors.get(found.stored_name)
    kind = I8.number if found.dtype is dtypes.bool_ else found.dtype.ggml_type
    if stored is None or stored.shape != found.stored_shape or stored.type.number != kind:
        file.fail(field, f"says {found.dtype} {found.shape}, which the file does not hold")

"""Weights that lie in another GGUF file: what a program's file says of it, and what is checked when it is read."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ggml.core.errors import FileFormatError
from ggml.gguf.limits import MAX_STRING_BYTES
from ggml.io.mapped import Mapped, open_mapped
from ggml.io.reading import tensors_of
from ggml.tensors.tensor import Tensor

#: The key in the header of a program's file, whose value is JSON.
KEY = "ggml.program.weights"

_FIELDS = {"path": str, "size": int, "sha256": str, "tensors": dict}


@dataclass(frozen=True, slots=True)
class Reference:
    """A GGUF file, and which of its tensors are which weights: ``tensors`` has its name for each name of a weight.

    ``path`` is absolute.
    """

    path: str
    tensors: Mapping[str, str]

    def encode(self, beside: str) -> bytes:
        """What a program's file at ``beside`` says: the path, relative where the file lies beside or below it, the size
        in bytes and the SHA-256 of all bytes. OSError where the file cannot be read."""
        folder = os.path.dirname(os.path.realpath(beside))
        is_near = os.path.commonpath([folder, self.path]) == folder
        found = {
            "path": os.path.relpath(self.path, folder) if is_near else self.path,
            "size": os.path.getsize(self.path),
            "sha256": _digest(self.path),
            "tensors": dict(self.tensors),
        }
        return json.dumps(found).encode()


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def referenced(file: Mapped, raw: bytes, elsewhere: str | None) -> tuple[Reference, dict[str, Tensor]]:
    """What a program's file says of another, and the weights there, mapped. ``elsewhere``: where that file is now.

    FileFormatError where the program's file, or the other, is not sound, or the other is not the one that was meant;
    OSError where it cannot be opened.
    """
    found = _decoded(file, raw)
    path = elsewhere or os.path.join(os.path.dirname(os.path.realpath(file.header.path)), found["path"])
    other = open_mapped(path, mmap.ACCESS_COPY)
    size = os.path.getsize(path)
    if size != found["size"]:
        raise FileFormatError(path, "size", f"is {size} bytes; the program was made for a file of {found['size']}")
    if _digest(path) != found["sha256"]:
        raise FileFormatError(path, "sha256", "is not that of the file that the program was made for")
    there = tensors_of(other)
    lost = sorted(set(found["tensors"].values()) - there.keys())
    if lost:
        file.fail(KEY, f"names tensors that {path} does not have: {', '.join(lost)[:200]}")
    reference = Reference(os.path.realpath(path), found["tensors"])
    return reference, {name: there[stored] for name, stored in found["tensors"].items()}


def _decoded(file: Mapped, raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw) if len(raw) <= MAX_STRING_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.keys() != _FIELDS.keys():
        file.fail(KEY, f"is no JSON object of {', '.join(_FIELDS)}")
    for name, kind in _FIELDS.items():
        if type(found[name]) is not kind:
            file.fail(f"{KEY}.{name}", f"is no {kind.__name__}")
    if "\0" in found["path"]:
        file.fail(f"{KEY}.path", "has a null character")
    if not all(isinstance(stored, str) for stored in found["tensors"].values()):
        file.fail(f"{KEY}.tensors", "has a name that is no text")
    return found

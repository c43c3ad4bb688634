"""What mmproj files say, read one by one: a number within bounds, a matrix, or one sentence that names the field."""

from __future__ import annotations

from typing import NoReturn

from cluster.api.errors import ModelFileError
from ggml.gguf.header import Header


def number(header: Header, name: str, most: int) -> int:
    """The value of `clip.vision.{name}`. ModelFileError unless it is within 1 to `most`."""
    key = f"clip.vision.{name}"
    value = header.uint32(key)
    if not 1 <= value <= most:
        refuse(header, key, f"{value} is not within 1 to {most}")
    return value


def matrix(header: Header, name: str) -> tuple[int, int]:
    """Rows and columns of a tensor. ModelFileError where there is none, or it is no matrix."""
    found = next((tensor for tensor in header.tensors if tensor.name == name), None)
    if found is None or len(found.shape) != 2:
        refuse(header, name, "missing, or no matrix")
    return found.shape[0], found.shape[1]


def refuse(header: Header, field: str, why: str) -> NoReturn:
    raise ModelFileError(f"{header.path}: {field}: {why}")

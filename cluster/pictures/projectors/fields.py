"""What mmproj files say, read one by one: a number within bounds, a matrix, or one sentence that names the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from cluster.api.errors import ModelFileError
from ggml.gguf.header import Header

MAX_PATCHES = 1 << 16  # of a picture
Shapes = Mapping[str, tuple[int, ...]]  # of tensors, by their names; rows first


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


def shapes_of(header: Header) -> Shapes:
    """Of all tensors."""
    return {tensor.name: tensor.shape for tensor in header.tensors}


def expect(header: Header, shapes: Shapes, name: str, *shape: int) -> None:
    """ModelFileError unless there is a tensor of that name and shape: ggml asserts it, or reads beside it."""
    if shapes.get(name) != shape:
        refuse(header, name, f"{shapes.get(name, 'missing')}; it must have shape {shape}")


def expect_two(header: Header, shapes: Shapes, names: tuple[str, str], given: int, made: int) -> None:
    """Two matrices with biases, one behind the other: `given` values go in, and `made` come out."""
    between = shapes.get(f"{names[0]}.weight", (0,))[0]
    expect(header, shapes, f"{names[0]}.weight", between, given)
    expect(header, shapes, f"{names[0]}.bias", between)
    expect(header, shapes, f"{names[1]}.weight", made, between)
    expect(header, shapes, f"{names[1]}.bias", made)


def expect_square(header: Header, shapes: Shapes, width: int) -> None:
    """Learned positions of a square of patches, from which those of others are made."""
    found = shapes.get("v.position_embd.weight", (0, 0))
    side = round(found[0] ** 0.5)
    if found != (side * side, width) or not side:
        refuse(header, "v.position_embd.weight", f"{found}; it must be a square number of rows of {width} values")


def check_turned_heads(header: Header) -> int:
    """The width of a patch within the encoder, whose heads are turned by line and column, each a quarter twice."""
    width, num_heads = header.uint32("clip.vision.embedding_length"), header.uint32("clip.vision.attention.head_count")
    if width // num_heads % 4:
        refuse(header, "clip.vision.attention.head_count", f"a head of {width // num_heads} values has no quarters")
    return width


def refuse(header: Header, field: str, why: str) -> NoReturn:
    raise ModelFileError(f"{header.path}: {field}: {why}")

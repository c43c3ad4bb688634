"""What mmproj files say, read one by one: a number within bounds, a matrix, or one sentence that names the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from cluster.api.errors import ModelFileError
from ggml.gguf.header import Header

Shapes = Mapping[str, tuple[int, ...]]  # of tensors, by their names; rows first
# Of a picture, whole or in tiles, as the encoder sees it: 12 bytes each, and several times that on the way.
MAX_SEEN_PIXELS = 1 << 26
MAX_PATCHES = 1 << 16  # of one picture or tile: each of them looks at all others


def number(header: Header, name: str, most: int, *, least: int = 1, default: int | None = None) -> int:
    """The value of `clip.vision.{name}`; where that is missing, the default, if there is one. ModelFileError unless it
    is within `least` to `most`."""
    key = f"clip.vision.{name}"
    value = header.uint32(key, default)
    if not least <= value <= most:
        refuse(header, key, f"{value} is not within {least} to {most}")
    return value


def shape(header: Header, name: str) -> tuple[int, ...] | None:
    """Of a tensor, rows first; None where there is none."""
    found = next((tensor for tensor in header.tensors if tensor.name == name), None)
    return None if found is None else tuple(found.shape)


def matrix(header: Header, name: str) -> tuple[int, int]:
    """Rows and columns of a tensor. ModelFileError where there is none, or it is no matrix."""
    found = shape(header, name)
    if found is None or len(found) != 2:
        refuse(header, name, "missing, or no matrix")
    return found[0], found[1]


def projected(header: Header, name: str, num_inputs: int) -> int:
    """Rows of a matrix that has so many columns. ModelFileError where it has others."""
    num_rows, num_columns = matrix(header, name)
    if num_columns != num_inputs:
        refuse(header, name, f"{num_columns} columns; it is multiplied by {num_inputs} values")
    return num_rows


def embedding_length(header: Header) -> int:
    """Values of a patch within the encoder."""
    return header.uint32("clip.vision.embedding_length")


def patches_per_side(header: Header) -> int:
    """Of a square picture, or of a tile."""
    return header.uint32("clip.vision.image_size") // header.uint32("clip.vision.patch_size")


def merge(header: Header, *, default: int = 1, least: int = 1) -> int:
    """So many patches on each side become one row. ModelFileError unless that divides the patches of a square."""
    side = patches_per_side(header)
    found = number(header, "projector.scale_factor", side, least=least, default=default)
    if side % found:
        refuse(header, "clip.vision.projector.scale_factor", f"{found} does not divide the {side} patches of a side")
    return found


def dynamic_merge(header: Header, name: str, default: int, most_rows: int) -> int:
    """The same of pictures that keep their shape, and have `most_rows` at most. ModelFileError where that makes them
    too large to be looked at."""
    found = number(header, name, 64, default=default)
    side = found * header.uint32("clip.vision.patch_size")
    if most_rows * found**2 > MAX_PATCHES or most_rows * side**2 > MAX_SEEN_PIXELS:
        refuse(header, f"clip.vision.{name}", f"{found} makes pictures of too many patches or pixels")
    return found


def check_tiles(header: Header, name: str, num_tiles: int) -> None:
    """ModelFileError where a picture is cut into more tiles than can be looked at."""
    if num_tiles * header.uint32("clip.vision.image_size") ** 2 > MAX_SEEN_PIXELS:
        refuse(header, f"clip.vision.{name}", f"{num_tiles} tiles in a picture are too many")


def check_has(header: Header, *names: str) -> None:
    """ModelFileError unless these tensors are there."""
    for name in names:
        if shape(header, name) is None:
            refuse(header, name, "missing")


def check_rotary(header: Header) -> None:
    """ModelFileError unless heads can be turned by two numbers, each in a half of its own."""
    num_heads = header.uint32("clip.vision.attention.head_count")
    if embedding_length(header) // num_heads % 4:
        refuse(header, "clip.vision.attention.head_count", "leaves heads whose width is no multiple of 4")


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


def refuse(header: Header, field: str, why: str) -> NoReturn:
    raise ModelFileError(f"{header.path}: {field}: {why}")

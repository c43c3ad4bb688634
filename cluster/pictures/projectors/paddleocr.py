"""PaddleOCR-VL: a transformer whose patches are turned by line and column, four of them a row.

Facts of llama.cpp's tools/mtmd (clip.cpp, models/paddleocr.cpp), as packaged in llama-cpp-python 0.3.36.
"""

from __future__ import annotations

from cluster.pictures.projectors.fields import (
    MAX_PATCHES,
    check_rotary,
    embedding_length,
    expect,
    expect_square,
    expect_two,
    number,
    refuse,
    shapes_of,
)
from cluster.pictures.projectors.kind import ProjectorKind
from ggml.gguf.header import Header

MERGED = 4  # patches of a row, whatever the file says
_MOST_PIXELS = 1 << 28  # they are counted in an int


def _row_width(header: Header) -> int:
    shapes = shapes_of(header)
    check_rotary(header)
    inner, patch = embedding_length(header), header.uint32("clip.vision.patch_size")
    least = number(header, "image_min_pixels", _MOST_PIXELS)
    if number(header, "image_max_pixels", min(_MOST_PIXELS, MAX_PATCHES * patch * patch)) < least:
        refuse(header, "clip.vision.image_max_pixels", "less than image_min_pixels")
    expect(header, shapes, "v.patch_embd.weight", inner, 3, patch, patch)
    expect_square(header, shapes, inner)
    expect(header, shapes, "mm.input_norm.weight", inner)
    expect(header, shapes, "mm.input_norm.bias", inner)
    width = shapes.get("mm.2.weight", (0,))[0]
    expect_two(header, shapes, ("mm.1", "mm.2"), MERGED * inner, width)
    return width


def _most_patches(header: Header) -> int:
    return header.uint32("clip.vision.image_max_pixels") // header.uint32("clip.vision.patch_size") ** 2


PADDLE_OCR = ProjectorKind("paddleocr", _row_width, most_patches=_most_patches, architectures=frozenset({"paddleocr"}))

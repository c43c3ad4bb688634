"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: a transformer whose patches are turned by line and column, four of them a row.

Facts of llama.cpp's tools/mtmd (clip.cpp, models/qwen2vl.cpp, models/qwen3vl.cpp), as packaged in llama-cpp-python
0.3.36: their graphs are written for two by two patches, whatever the file says.
"""

from __future__ import annotations

from collections.abc import Callable

from cluster.pictures.projectors.fields import (
    Shapes,
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

MERGE = 2  # lines, and columns, of patches in a row
# Of pixels. Windows of 112 pixels are counted in rows of patches, and there must be one; and the pixels of the largest
# picture, of 4096 rows, are counted in an int.
MOST_PATCH_SIZE = 112 // MERGE
_MOST_PATTERN = 512
_MOST_ROWS = 4096  # clip.cpp: set_limit_image_tokens of PROJECTOR_TYPE_QWEN2VL and the two others


def _most_patches(_header: Header) -> int:
    return _MOST_ROWS * MERGE**2


def _qwen2(header: Header) -> int:
    if header.uint32("clip.vision.n_wa_pattern", 0):
        refuse(header, "clip.vision.n_wa_pattern", "Qwen2-VL has no windows; it must be 0 or missing")
    return _without_patch_bias(header)


def _qwen25(header: Header) -> int:
    number(header, "n_wa_pattern", _MOST_PATTERN)
    width = _without_patch_bias(header)
    if header.uint32("clip.vision.projection_dim") != width:
        refuse(header, "clip.vision.projection_dim", f"it must be the width of a row, {width}")
    return width


def _without_patch_bias(header: Header) -> int:
    shapes = shapes_of(header)
    width, inner = _common(header, shapes)
    if "v.patch_embd.bias" in shapes:
        refuse(header, "v.patch_embd.bias", "this type of projector has none")
    for layer in range(header.uint32("clip.vision.block_count")):
        for name in ("attn_q", "attn_k", "attn_v"):
            expect(header, shapes, f"v.blk.{layer}.{name}.weight", inner, inner)
            expect(header, shapes, f"v.blk.{layer}.{name}.bias", inner)
    return width


def _qwen3(header: Header) -> int:
    shapes = shapes_of(header)
    width, inner = _common(header, shapes)
    expect(header, shapes, "v.patch_embd.bias", inner)
    expect_square(header, shapes, inner)
    num_parts = 1
    for layer in range(header.uint32("clip.vision.block_count")):
        expect(header, shapes, f"v.blk.{layer}.attn_qkv.weight", 3 * inner, inner)
        expect(header, shapes, f"v.blk.{layer}.attn_qkv.bias", 3 * inner)
        if f"v.deepstack.{layer}.fc1.weight" in shapes:
            _check_deepstack(header, shapes, f"v.deepstack.{layer}", MERGE * MERGE * inner, width)
            num_parts += 1
    return num_parts * width


def _check_deepstack(header: Header, shapes: Shapes, name: str, merged: int, width: int) -> None:
    """What a layer leaves for one of the model's first layers, a part of the row."""
    expect(header, shapes, f"{name}.norm.weight", merged)
    expect(header, shapes, f"{name}.norm.bias", merged)
    expect_two(header, shapes, (f"{name}.fc1", f"{name}.fc2"), merged, width)


def _common(header: Header, shapes: Shapes) -> tuple[int, int]:
    """How wide a row is, and a patch within the encoder. ModelFileError."""
    check_rotary(header)
    inner = embedding_length(header)
    patch = number(header, "patch_size", MOST_PATCH_SIZE)
    if header.uint32("clip.vision.spatial_merge_size", MERGE) != MERGE:
        refuse(header, "clip.vision.spatial_merge_size", f"it must be {MERGE}")
    if "v.class_embd" in shapes:
        refuse(header, "v.class_embd", "this type of projector has none")
    for name in ("v.patch_embd.weight", "v.patch_embd.weight.1"):
        expect(header, shapes, name, inner, 3, patch, patch)
    width = shapes.get("mm.2.weight", (0,))[0]
    expect_two(header, shapes, ("mm.0", "mm.2"), MERGE * MERGE * inner, width)
    return width, inner


def _kind(name: str, row_width: Callable[[Header], int], *architectures: str) -> ProjectorKind:
    return ProjectorKind(name, row_width, most_patches=_most_patches, architectures=frozenset(architectures))


QWEN2_VL = _kind("qwen2vl_merger", _qwen2, "qwen2vl")
QWEN25_VL = _kind("qwen2.5vl_merger", _qwen25, "qwen2vl")
QWEN3_VL = _kind("qwen3vl_merger", _qwen3, "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe")

"""LightOnOCR: pictures keep their shape, and are enlarged or made smaller until the longer side has its length."""

from __future__ import annotations

from cluster.pictures.projectors.fields import MAX_PATCHES, check_rotary, matrix, number, projected, refuse
from cluster.pictures.projectors.kind import ProjectorKind
from ggml.gguf.header import Header

_LONGEST = "preproc_image_size"
_MOST_PIXELS = 8192  # of that side: they are several numbers each


def _most_patches(header: Header) -> int:
    merged = number(header, "spatial_merge_size", 64, default=1)
    patch_size = header.uint32("clip.vision.patch_size")
    longest = number(header, _LONGEST, _MOST_PIXELS, default=header.uint32("clip.vision.image_size"))
    found = int((-(-longest // (patch_size * merged)) * merged) ** 2)
    if found > MAX_PATCHES:
        refuse(header, f"clip.vision.{_LONGEST}", f"{longest} makes pictures of too many patches")
    return found


def _row_width(header: Header) -> int:
    _most_patches(header)
    check_rotary(header)
    hidden, _ = matrix(header, "mm.1.weight")
    return projected(header, "mm.2.weight", hidden)


LIGHTONOCR = ProjectorKind("lightonocr", _row_width, most_patches=_most_patches)

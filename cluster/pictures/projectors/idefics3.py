"""Idefics 3 and SmolVLM: square tiles with tokens that name their places between them, and the whole picture small."""

from __future__ import annotations

from cluster.pictures.projectors.fields import check_tiles, embedding_length, merge, number, projected, refuse
from cluster.pictures.projectors.kind import ProjectorKind
from ggml.gguf.header import Header

_LONGEST = "preproc_image_size"  # the side that pictures are enlarged or made smaller to, in pixels
_LEAST_TILE = 224  # without that number tiles are as many as the picture has place for


def _row_width(header: Header) -> int:
    side = merge(header, least=2)
    tile = header.uint32("clip.vision.image_size")
    longest = number(header, _LONGEST, 1 << 14, least=0, default=0)
    if not longest and tile < _LEAST_TILE:
        refuse(header, f"clip.vision.{_LONGEST}", f"missing, with tiles of {tile} pixels only")
    check_tiles(header, _LONGEST, (-(-longest // tile)) ** 2 + 1)
    return projected(header, "mm.model.fc.weight", embedding_length(header) * side**2)


IDEFICS3 = ProjectorKind("idefics3", _row_width)

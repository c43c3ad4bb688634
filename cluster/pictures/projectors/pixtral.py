"""Pixtral and Mistral Small 3: pictures keep their shape; behind each line of rows but the last is one for its end."""

from __future__ import annotations

from cluster.pictures.projectors.fields import check_has, check_rotary, dynamic_merge, matrix, projected
from cluster.pictures.projectors.kind import ProjectorKind
from ggml.gguf.header import Header

_MOST_ROWS = 1024  # clip.cpp: set_limit_image_tokens of PROJECTOR_TYPE_PIXTRAL


def _merge(header: Header) -> int:
    return dynamic_merge(header, "spatial_merge_size", 1, _MOST_ROWS)


def _most_patches(header: Header) -> int:
    return int(_MOST_ROWS * _merge(header) ** 2)


def _row_width(header: Header) -> int:
    _merge(header)
    check_rotary(header)
    check_has(header, "v.token_embd.img_break")
    hidden, _ = matrix(header, "mm.1.weight")
    return projected(header, "mm.2.weight", hidden)


PIXTRAL = ProjectorKind("pixtral", _row_width, most_patches=_most_patches)

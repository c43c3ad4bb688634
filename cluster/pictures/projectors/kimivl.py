"""Kimi-VL: pictures keep their shape, and the table of places is stretched to it."""

from __future__ import annotations

from cluster.pictures.projectors.fields import check_rotary, dynamic_merge, embedding_length, matrix, projected, refuse
from cluster.pictures.projectors.kind import ProjectorKind
from ggml.gguf.header import Header

_MOST_ROWS = 1024  # clip.cpp: set_limit_image_tokens of PROJECTOR_TYPE_KIMIVL
_MERGE = "projector.scale_factor"
_POSITIONS = "v.position_embd.weight"


def _merge(header: Header) -> int:
    found = dynamic_merge(header, _MERGE, 1, _MOST_ROWS)
    if found < 2:
        refuse(header, f"clip.vision.{_MERGE}", f"{found} patch makes no row; 2 or more on each side do")
    return found


def _most_patches(header: Header) -> int:
    return int(_MOST_ROWS * _merge(header) ** 2)


def _row_width(header: Header) -> int:
    side = _merge(header)
    check_rotary(header)
    places, _ = matrix(header, _POSITIONS)
    if int(places**0.5) ** 2 != places:
        refuse(header, _POSITIONS, f"{places} rows; they are those of a square")
    hidden = projected(header, "mm.1.weight", embedding_length(header) * side**2)
    return projected(header, "mm.2.weight", hidden)


KIMIVL = ProjectorKind("kimivl", _row_width, most_patches=_most_patches)

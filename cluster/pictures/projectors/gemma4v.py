"""Gemma 4: pictures keep their shape, and have 70 to 1120 rows, which see each other in the layers with windows."""

from __future__ import annotations

from cluster.pictures.projectors.fields import check_rotary, dynamic_merge, embedding_length, projected, refuse, shape
from cluster.pictures.projectors.kind import ProjectorKind
from ggml.gguf.header import Header

_MOST_ROWS = 1120  # clip.cpp: set_limit_image_tokens of PROJECTOR_TYPE_GEMMA4V
_POSITIONS = "v.position_embd.weight"
_CAUSAL_WIDTHS = (1536, 2560)  # mtmd.cpp, mtmd_decode_use_non_causal: those of E2B and E4B


def _merge(header: Header) -> int:
    return dynamic_merge(header, "projector.scale_factor", 3, _MOST_ROWS)


def _most_patches(header: Header) -> int:
    return int(_MOST_ROWS * _merge(header) ** 2)


def _row_width(header: Header) -> int:
    side = _merge(header)
    check_rotary(header)
    positions = shape(header, _POSITIONS)
    # A picture may be one row of patches high.
    if positions is None or len(positions) != 3 or positions[0] != 2 or positions[1] < side * _MOST_ROWS:
        refuse(header, _POSITIONS, f"not 2 tables of at least {side * _MOST_ROWS} rows")
    return projected(header, "mm.input_projection.weight", embedding_length(header))


def _whole_rows(header: Header) -> int:
    return 0 if _row_width(header) in _CAUSAL_WIDTHS else _MOST_ROWS


GEMMA4V = ProjectorKind("gemma4v", _row_width, _whole_rows, _most_patches)

"""Llama 4: at most 3 x 3 square tiles, and the whole picture small behind them."""

from __future__ import annotations

from cluster.pictures.projectors.fields import (
    check_has,
    check_rotary,
    check_tiles,
    embedding_length,
    merge,
    projected,
)
from cluster.pictures.projectors.kind import ProjectorKind
from ggml.gguf.header import Header


def _row_width(header: Header) -> int:
    side = merge(header)
    check_rotary(header)
    check_tiles(header, "image_size", 9 + 1)
    check_has(header, "v.class_embd", "v.position_embd.weight")
    hidden = projected(header, "mm.model.mlp.1.weight", embedding_length(header) * side**2)
    hidden = projected(header, "mm.model.mlp.2.weight", hidden)
    return projected(header, "mm.model.fc.weight", hidden)


LLAMA4 = ProjectorKind("llama4", _row_width)

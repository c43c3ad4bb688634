"""InternVL: square tiles, and the whole picture small behind them. Some of the newer ones are models of Qwen."""

from __future__ import annotations

from cluster.pictures.projectors.fields import check_has, check_tiles, embedding_length, merge, number, projected
from cluster.pictures.projectors.kind import ProjectorKind
from ggml.gguf.header import Header

_MOST_TILES = 256


def _row_width(header: Header) -> int:
    side = merge(header)
    most = number(header, "preproc_max_tiles", _MOST_TILES, default=12)
    number(header, "preproc_min_tiles", most, default=1)
    check_tiles(header, "preproc_max_tiles", most + 1)
    check_has(header, "v.class_embd", "v.position_embd.weight")
    hidden = projected(header, "mm.model.mlp.1.weight", embedding_length(header) * side**2)
    return projected(header, "mm.model.mlp.3.weight", hidden)


INTERNVL = ProjectorKind("internvl", _row_width)

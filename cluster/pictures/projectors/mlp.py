"""LLaVA 1.5, and models like it: two matrices behind a CLIP transformer."""

from __future__ import annotations

from cluster.pictures.projectors.fields import matrix
from cluster.pictures.projectors.kind import ProjectorKind
from ggml.gguf.header import Header


def _row_width(header: Header) -> int:
    return matrix(header, "mm.2.weight")[0]


MLP = ProjectorKind("mlp", _row_width)

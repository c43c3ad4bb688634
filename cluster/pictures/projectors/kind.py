"""ProjectorKind: what our reader knows of a projector's type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ggml.gguf.header import Header


@dataclass(frozen=True, slots=True)
class ProjectorKind:
    """One type of projector. Each was compared with mtmd on the whole model, bit for bit.

    Attributes:
        name: as the file says it (`clip.projector_type`).
        row_width: how many values a row has, of a file whose common numbers are within their bounds. ModelFileError for
            what mtmd would divide by or make room for beyond these.
        architectures: of the models that it was made for, where these have positions of several sections (M-RoPE).
            Empty: any model without such, whose embeddings are as wide as its rows.
    """

    name: str
    row_width: Callable[[Header], int]
    architectures: frozenset[str] = frozenset()

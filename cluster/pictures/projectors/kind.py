"""ProjectorKind: what our reader knows of a projector's type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cluster.pictures.projectors.fields import patches_per_side
from ggml.gguf.header import Header


def no_rows(_header: Header) -> int:
    """Each row of a picture sees those before it only."""
    return 0


def square_patches(header: Header) -> int:
    """A picture, or a tile, is a square of the size that the file says."""
    return patches_per_side(header) ** 2


@dataclass(frozen=True, slots=True)
class ProjectorKind:
    """One type of projector. Each was compared with mtmd on the whole model, bit for bit.

    Attributes:
        name: as the file says it (`clip.projector_type`).
        row_width: how many values a row has, of a file whose common numbers are within their bounds. ModelFileError for
            what mtmd would divide by or make room for beyond these.
        whole_rows: most rows of a picture that see each other, so that they are computed in one microbatch; 0 of a
            kind whose rows see those before them only.
        most_patches: that the encoder sees at once, of a picture or a tile.
        architectures: of the models that it was made for, where these have positions of several sections (M-RoPE).
            Empty: any model without such, whose embeddings are as wide as its rows.
    """

    name: str
    row_width: Callable[[Header], int]
    whole_rows: Callable[[Header], int] = no_rows
    most_patches: Callable[[Header], int] = square_patches
    architectures: frozenset[str] = frozenset()

"""What stands for a picture in a prompt: tokens, rows, and tokens again, as its family has it."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.messages.pictures import Grid
from cluster.messages.step import Float32Array


@dataclass(frozen=True, slots=True, eq=False)
class PartRows:
    """Rows of a picture, or of one of the tiles that it was cut into."""

    rows: Float32Array  # these three are those of PictureRows
    grid: Grid | None = None
    non_causal: bool = False

    @property
    def num_tokens(self) -> int:
        """In the place of how many tokens they stand."""
        return len(self.rows)


Part = tuple[int, ...] | PartRows  # token ids, or rows


def num_tokens(part: Part) -> int:
    """How long a part makes a prompt."""
    return part.num_tokens if isinstance(part, PartRows) else len(part)

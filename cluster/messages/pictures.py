"""Rows of pictures within a prompt."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cluster.messages.step import Float32Array


class Grid(NamedTuple):
    """How the rows of a picture lie in it: line by line."""

    width: int
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class PictureRows:
    """Rows that stand for tokens of a prompt. Set by whoever encoded the picture."""

    first: int  # place in the prompt of the first of them
    rows: Float32Array  # [n, E], or wider: behind each row what the model's first layers add to it
    grid: Grid | None = None  # of all n, where the model's positions have sections: they are at one place in time
    non_causal: bool = False  # each sees all of them: they are computed in one microbatch of their own

    @property
    def end(self) -> int:
        """The place behind the last one."""
        return self.first + len(self.rows)

    @property
    def is_whole(self) -> bool:
        """A slot that goes back, or on from there, holds all of them or none."""
        return self.grid is not None or self.non_causal


@dataclass(frozen=True, slots=True)
class PicturedPrompt:
    """A prompt with pictures: its token ids, with `stand_ins` for rows, and where these rows are, ascending."""

    token_ids: tuple[int, ...]
    pictures: tuple[PictureRows, ...] = ()


def stand_ins(name: bytes, num_rows: int) -> list[int]:
    """Negative numbers in the place of token ids, which are the same for the same picture, and for no other: so what
    slots hold of a picture is found again as what they hold of a text. `name`: made of the picture's bytes."""
    words = np.frombuffer(hashlib.shake_128(name).digest(4 * num_rows), "<i4")
    found: list[int] = (words | np.int32(-(2**31))).tolist()
    return found

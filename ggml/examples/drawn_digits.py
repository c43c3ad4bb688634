"""Digits that are drawn here, in MNIST's files: so that the example needs no data of anybody's."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Seven rows of five, as a terminal would show them.
_STROKES = (
    ".###. #...# #..## #.#.# ##..# #...# .###.",
    "..#.. .##.. ..#.. ..#.. ..#.. ..#.. .###.",
    ".###. #...# ....# ...#. ..#.. .#... #####",
    "##### ...#. ..#.. ...#. ....# #...# .###.",
    "...#. ..##. .#.#. #..#. ##### ...#. ...#.",
    "##### #.... ####. ....# ....# #...# .###.",
    "..##. .#... #.... ####. #...# #...# .###.",
    "##### ....# ...#. ..#.. .#... .#... .#...",
    ".###. #...# #...# .###. #...# #...# .###.",
    ".###. #...# #...# .#### ....# ...#. .##..",
)
_SIZE = 28


def draw(digit: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One digit [28, 28]: two to three pixels for each of its dots, near the middle, with noise."""
    dots = np.array([[dot == "#" for dot in row] for row in _STROKES[digit].split()], np.float32)
    tall, wide = rng.integers(2, 4, 2)
    shape = dots.repeat(tall, 0).repeat(wide, 1)
    top, left = ((_SIZE - extent) // 2 + rng.integers(-3, 4) for extent in shape.shape)
    image = rng.normal(20, 20, (_SIZE, _SIZE))
    image[top : top + shape.shape[0], left : left + shape.shape[1]] += shape * rng.uniform(120, 220)
    return image.clip(0, 255).astype(np.uint8)


def write_digits(folder: str | Path, num_train: int = 3000, num_test: int = 500, seed: int = 0) -> Path:
    """Four idx files as MNIST's, in ``folder``, which is made; the same ones for the same seed."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for part, total in (("train", num_train), ("t10k", num_test)):
        labels = rng.integers(0, 10, total).astype(np.uint8)
        images = np.stack([draw(int(label), rng) for label in labels])
        _write_idx(place / f"{part}-images-idx3-ubyte", images)
        _write_idx(place / f"{part}-labels-idx1-ubyte", labels)
    return place


def _write_idx(path: Path, array: NDArray[Any]) -> None:
    # Two zeros, the type of bytes, the number of axes, and each extent, the largest byte first.
    path.write_bytes(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes())

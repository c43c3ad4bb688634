"""The models of the kit: tiny ones of several architectures, and random ones in the shapes of known models."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cluster.synthetic.blocks import random_matrix
from cluster.synthetic.model import SHAPES, VOCAB_SIZE, Shape
from cluster.synthetic.model import write_model as write_shape

# What is special about a model -> an architecture that has it.
ARCHITECTURES = {
    "dense": "llama-dense",
    "mixture of experts": "qwen3moe-moe",
    "latent attention": "deepseek2-moe",
    "sliding window": "gpt-oss-moe",
    "recurrent": "mamba2-dense",
    "shared keys and values": "gemma4-both",
    "numbers of layers kept": "gemma3n-dense",
    "rows of blocks in front": "kimi-k3-blocks",
}

# Too small to say anything of speed.
TINY = Shape(4, 256, 4, 2, 512, 4096)
RANDOM_ROWS = 256  # of a matrix; those below are the same again, since only their number costs time


def architecture_model(folder: Path, kind: str) -> Path:
    """The file of a tiny model of this kind, written once."""
    # Here, since it loads libllama: whoever only asks for names opens no device.
    from tests.native.arch_matrix import CHANGES
    from tests.native.arch_models import write_model

    path = folder / f"{ARCHITECTURES[kind]}.gguf"
    return path if path.exists() else write_model(path, ARCHITECTURES[kind], CHANGES)


def random_model(folder: Path, name: str) -> Path:
    """The file for "SHAPE:KIND", such as "8b:Q4_K", or "tiny:Q4_K"; written once."""
    size, _, kind = name.partition(":")
    path = folder / f"random-{size}-{kind}.gguf"
    if not path.exists():
        part = path.with_suffix(".part")
        write_shape(part, shape_of(size), kind, repeated_matrix())
        part.replace(path)
    return path


def shape_of(size: str) -> Shape:
    """Of "1b", "8b", or "tiny"."""
    return TINY if size == "tiny" else SHAPES[size]


def model_bytes(name: str) -> int:
    """About the size of the file of `random_model`."""
    size, _, kind = name.partition(":")
    bits = {"F16": 16.0, "Q8_0": 8.5, "Q4_K": 4.5, "Q4_0": 4.5}[kind]
    return int(num_weights(shape_of(size)) * bits / 8)


def num_weights(shape: Shape) -> int:
    """Of all matrices."""
    kv_width = shape.num_kv_heads * shape.head_width
    layer = 2 * shape.width * (shape.width + kv_width) + 3 * shape.width * shape.feed_forward
    return shape.num_layers * layer + 2 * VOCAB_SIZE * shape.width


def repeated_matrix() -> Callable[[str, int, int, np.random.Generator], NDArray[np.uint8]]:
    """As `random_matrix`, with a few random rows over and over: a model of 8b is written in seconds."""

    @cache
    def rows_of(kind: str, width: int) -> NDArray[np.uint8]:
        return random_matrix(kind, RANDOM_ROWS, width, np.random.default_rng(width))

    def matrix(kind: str, num_rows: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        few = rows_of(kind, width)
        start = int(rng.integers(0, RANDOM_ROWS))  # no two matrices are the same
        return np.take(few, np.arange(start, start + num_rows) % RANDOM_ROWS, axis=0)

    return matrix

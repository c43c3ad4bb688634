"""Tiny random mmproj files, written with gguf-py, and pictures to show them: for tests only."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

Tensors = Iterator[tuple[str, NDArray[np.float32]]]


class Draw:
    """Random weights, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def normal(self, *shape: int) -> NDArray[np.float32]:
        return self._rng.normal(0, 0.3, shape).astype(np.float32)

    def near_one(self, count: int) -> NDArray[np.float32]:
        return (1 + self._rng.normal(0, 0.1, count)).astype(np.float32)


@dataclass(frozen=True)
class TinyProjector:
    """The shape of an encoder in the style of LLaVA: a CLIP transformer, and two matrices behind its last but one."""

    row_width: int = 128
    image_size: int = 32
    patch_size: int = 8
    width: int = 32
    num_heads: int = 2
    feed_forward: int = 48
    num_layers: int = 3
    kind: str = "mlp"
    seed: int = 5

    @property
    def num_rows(self) -> int:
        """Of each picture."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def num_patches(self) -> int:
        """Of a square picture, or a tile."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def has_class(self) -> bool:
        """One patch more stands for the whole picture."""
        return True

    @property
    def positions(self) -> tuple[int, ...]:
        """The shape of what is added to patches for their places; () adds nothing."""
        return (self.num_patches + 1, self.width)

    @property
    def patch_shape(self) -> tuple[int, ...]:
        return (self.width, 3, self.patch_size, self.patch_size)

    @property
    def keys(self) -> dict[str, Any]:
        """More numbers of the file, by their keys."""
        return {}

    def tensors(self) -> Tensors:
        draw = Draw(self.seed)
        normal, near_one = draw.normal, draw.near_one
        if self.has_class:
            yield "v.class_embd", normal(self.width)
        yield "v.patch_embd.weight", normal(*self.patch_shape)
        if self.positions:
            yield "v.position_embd.weight", normal(*self.positions)
        for name in ("pre_ln", "post_ln"):
            yield f"v.{name}.weight", near_one(self.width)
            yield f"v.{name}.bias", normal(self.width)
        for layer in range(self.num_layers):
            for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
                yield f"v.blk.{layer}.{name}.weight", normal(self.width, self.width)
                yield f"v.blk.{layer}.{name}.bias", normal(self.width)
            for name in ("ln1", "ln2"):
                yield f"v.blk.{layer}.{name}.weight", near_one(self.width)
                yield f"v.blk.{layer}.{name}.bias", normal(self.width)
            yield f"v.blk.{layer}.ffn_up.weight", normal(self.feed_forward, self.width)
            yield f"v.blk.{layer}.ffn_up.bias", normal(self.feed_forward)
            yield f"v.blk.{layer}.ffn_down.weight", normal(self.width, self.feed_forward)
            yield f"v.blk.{layer}.ffn_down.bias", normal(self.width)
        yield from self.behind(draw)

    def behind(self, draw: Draw) -> Tensors:
        """What makes rows of what the encoder made of patches."""
        yield "mm.0.weight", draw.normal(self.row_width, self.width)
        yield "mm.0.bias", draw.normal(self.row_width)
        yield "mm.2.weight", draw.normal(self.row_width, self.row_width)
        yield "mm.2.bias", draw.normal(self.row_width)


def write_projector(path: Path, projector: TinyProjector, changes: dict[str, Any] | None = None) -> Path:
    """Write it. `changes`: keys of clip.vision with other numbers than the shape says; None leaves a key out."""
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.use_gelu", True)
    writer.add_string("clip.projector_type", projector.kind)
    numbers: dict[str, Any] = {
        "image_size": projector.image_size,
        "patch_size": projector.patch_size,
        "embedding_length": projector.width,
        "feed_forward_length": projector.feed_forward,
        "block_count": projector.num_layers,
        "projection_dim": projector.row_width,
        "attention.head_count": projector.num_heads,
    } | (changes or {})
    for name, value in (projector.keys | {f"clip.vision.{key}": value for key, value in numbers.items()}).items():
        if value is not None:
            (writer.add_int32 if name == "clip.minicpmv_version" else writer.add_uint32)(name, value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.4, 0.3])
    writer.add_array("clip.vision.image_std", [0.25, 0.26, 0.27])
    for name, values in projector.tensors():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def png(width: int = 40, height: int = 24, seed: int = 0) -> bytes:
    """A picture of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width * 3), np.uint8)
    return png_of(width, height, b"".join(b"\0" + row.tobytes() for row in pixels))


def png_of(width: int, height: int, scanlines: bytes) -> bytes:
    """A PNG of 8 bits for each of red, green and blue, with these lines, whatever size it says it has."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(scanlines)), chunk(b"IEND", b""))
    )

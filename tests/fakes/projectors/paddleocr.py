"""A tiny random mmproj file of PaddleOCR-VL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.fakes.tiny_projector import TinyProjector

MERGED = 4  # patches of a row


@dataclass(frozen=True, slots=True)
class PaddleProjector(TinyProjector):
    """As small as pictures of 8 to 64 rows."""

    patch_size: int = 14
    image_size: int = 56
    kind: str = "paddleocr"

    @property
    def keys(self) -> dict[str, Any]:
        row_pixels = MERGED * self.patch_size**2
        return {"clip.vision.image_min_pixels": 8 * row_pixels, "clip.vision.image_max_pixels": 64 * row_pixels}

    def tensors(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        rng = np.random.default_rng(self.seed)

        def normal(deviation: float, *shape: int) -> NDArray[np.float32]:
            return rng.normal(0, deviation, shape).astype(np.float32)

        def pair(name: str, *shape: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
            """A matrix and its bias."""
            yield f"{name}.weight", normal(0.5 / shape[-1] ** 0.5, *shape)
            yield f"{name}.bias", normal(0.3, shape[0])

        def norm(name: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
            yield f"{name}.weight", 1 + normal(0.1, self.width)
            yield f"{name}.bias", normal(0.3, self.width)

        yield "v.patch_embd.weight", normal(0.05, self.width, 3, self.patch_size, self.patch_size)
        yield "v.patch_embd.bias", normal(0.3, self.width)
        yield "v.position_embd.weight", normal(0.3, (self.image_size // self.patch_size) ** 2, self.width)
        for layer in range(self.num_layers):
            blk = f"v.blk.{layer}"
            for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
                yield from pair(f"{blk}.{name}", self.width, self.width)
            yield from norm(f"{blk}.ln1")
            yield from norm(f"{blk}.ln2")
            yield from pair(f"{blk}.ffn_up", self.feed_forward, self.width)
            yield from pair(f"{blk}.ffn_down", self.width, self.feed_forward)
        yield from norm("v.post_ln")
        yield from norm("mm.input_norm")
        yield from pair("mm.1", MERGED * self.width, MERGED * self.width)
        yield from pair("mm.2", self.row_width, MERGED * self.width)

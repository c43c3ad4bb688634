"""Tiny random mmproj files of Qwen2-VL, Qwen2.5-VL and Qwen3-VL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.fakes.tiny_projector import TinyProjector

MERGED = 4  # patches of a row


@dataclass(frozen=True, slots=True)
class QwenProjector(TinyProjector):
    """`row_width` is that of the model's embeddings. `deepstack`: the layers that leave a further part of a row."""

    patch_size: int = 14
    image_size: int = 56
    kind: str = "qwen2vl_merger"
    deepstack: tuple[int, ...] = ()

    @property
    def whole_width(self) -> int:
        """Of a row with all of its parts."""
        return self.row_width * (1 + len(self.deepstack))

    @property
    def keys(self) -> dict[str, Any]:
        return {"clip.vision.n_wa_pattern": 2} if self.kind == "qwen2.5vl_merger" else {}

    def tensors(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        rng = np.random.default_rng(self.seed)

        def pair(name: str, *shape: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
            """A matrix and its bias."""
            deviation = 0.5 / np.sqrt(shape[-1])
            yield f"{name}.weight", rng.normal(0, deviation, shape).astype(np.float32)
            yield f"{name}.bias", rng.normal(0, 0.3, shape[0]).astype(np.float32)

        def norm(name: str, width: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
            yield f"{name}.weight", (1 + rng.normal(0, 0.1, width)).astype(np.float32)
            if self.kind != "qwen2.5vl_merger":
                yield f"{name}.bias", rng.normal(0, 0.3, width).astype(np.float32)

        is_third = self.kind == "qwen3vl_merger"
        for name in ("v.patch_embd.weight", "v.patch_embd.weight.1"):
            yield name, rng.normal(0, 0.05, (self.width, 3, self.patch_size, self.patch_size)).astype(np.float32)
        if is_third:
            yield "v.patch_embd.bias", rng.normal(0, 0.3, self.width).astype(np.float32)
            places = (self.image_size // self.patch_size) ** 2
            yield "v.position_embd.weight", rng.normal(0, 0.3, (places, self.width)).astype(np.float32)
        for layer in range(self.num_layers):
            blk = f"v.blk.{layer}"
            if is_third:
                yield from pair(f"{blk}.attn_qkv", 3 * self.width, self.width)
            else:
                for name in ("attn_q", "attn_k", "attn_v"):
                    yield from pair(f"{blk}.{name}", self.width, self.width)
            yield from pair(f"{blk}.attn_out", self.width, self.width)
            yield from norm(f"{blk}.ln1", self.width)
            yield from norm(f"{blk}.ln2", self.width)
            yield from pair(f"{blk}.ffn_up", self.feed_forward, self.width)
            if self.kind == "qwen2.5vl_merger":
                yield from pair(f"{blk}.ffn_gate", self.feed_forward, self.width)
            yield from pair(f"{blk}.ffn_down", self.width, self.feed_forward)
            if layer in self.deepstack:
                merged = MERGED * self.width
                yield from norm(f"v.deepstack.{layer}.norm", merged)
                yield from pair(f"v.deepstack.{layer}.fc1", merged, merged)
                yield from pair(f"v.deepstack.{layer}.fc2", self.row_width, merged)
        yield from norm("v.post_ln", self.width)
        yield from pair("mm.0", MERGED * self.width, MERGED * self.width)
        yield from pair("mm.2", self.row_width, MERGED * self.width)

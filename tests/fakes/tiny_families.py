"""Tiny random mmproj files of the other families: what stands before and behind the same transformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.fakes.tiny_projector import Draw, Tensors, TinyProjector


@dataclass(frozen=True)
class Merging(TinyProjector):
    """Several patches make one row."""

    image_size: int = 64
    merge: int = 2

    @property
    def num_rows(self) -> int:
        """Of each picture, or of each tile."""
        return self.num_patches // self.merge**2

    @property
    def merged_width(self) -> int:
        return self.width * self.merge**2

    @property
    def keys(self) -> dict[str, Any]:
        return {"clip.vision.projector.scale_factor": self.merge}


@dataclass(frozen=True)
class TinyGemma3(Merging):
    kind: str = "gemma3"
    has_class = False

    @property
    def positions(self) -> tuple[int, ...]:
        return (self.num_patches, self.width)

    def behind(self, draw: Draw) -> Tensors:
        yield "mm.soft_emb_norm.weight", draw.near_one(self.width)
        yield "mm.input_projection.weight", draw.normal(self.width, self.row_width)


@dataclass(frozen=True)
class TinyGemma4(Merging):
    """Its pictures have at least 70 rows."""

    kind: str = "gemma4v"
    patch_size: int = 4
    has_class = False
    most_rows = 1120

    @property
    def positions(self) -> tuple[int, ...]:
        return (2, self.most_rows * self.merge, self.width)

    def behind(self, draw: Draw) -> Tensors:
        yield "mm.input_projection.weight", draw.normal(self.row_width, self.width)


@dataclass(frozen=True)
class TinyPixtral(Merging):
    """Its pictures keep their shape; behind each line of rows but the last is one that ends it."""

    kind: str = "pixtral"
    has_class = False
    positions = ()

    @property
    def keys(self) -> dict[str, Any]:
        return {"clip.vision.spatial_merge_size": self.merge}

    def behind(self, draw: Draw) -> Tensors:
        yield "mm.input_norm.weight", draw.near_one(self.width)
        yield "mm.patch_merger.weight", draw.normal(self.width, self.merged_width)
        yield "mm.1.weight", draw.normal(self.row_width, self.width)
        yield "mm.2.weight", draw.normal(self.row_width, self.row_width)
        yield "v.token_embd.img_break", draw.normal(self.row_width)


@dataclass(frozen=True)
class TinyLightOnOcr(TinyPixtral):
    """The same without ends of lines; the longer side of a picture has always this length."""

    kind: str = "lightonocr"
    longest: int = 96

    @property
    def keys(self) -> dict[str, Any]:
        return {**super().keys, "clip.vision.preproc_image_size": self.longest}

    def behind(self, draw: Draw) -> Tensors:
        for name, values in super().behind(draw):
            if name != "v.token_embd.img_break":
                yield name, values


@dataclass(frozen=True)
class TinyKimiVL(Merging):
    """Its pictures keep their shape."""

    kind: str = "kimivl"
    has_class = False

    @property
    def positions(self) -> tuple[int, ...]:
        return (self.num_patches, self.width)

    def behind(self, draw: Draw) -> Tensors:
        yield "mm.input_norm.weight", draw.near_one(self.width)
        yield "mm.input_norm.bias", draw.normal(self.width)
        yield "mm.1.weight", draw.normal(48, self.merged_width)
        yield "mm.1.bias", draw.normal(48)
        yield "mm.2.weight", draw.normal(self.row_width, 48)
        yield "mm.2.bias", draw.normal(self.row_width)


@dataclass(frozen=True)
class TinyInternVL(Merging):
    kind: str = "internvl"
    image_size: int = 32

    @property
    def keys(self) -> dict[str, Any]:
        return {**super().keys, "clip.vision.preproc_min_tiles": 1, "clip.vision.preproc_max_tiles": 6}

    def behind(self, draw: Draw) -> Tensors:
        yield "mm.model.mlp.0.weight", draw.near_one(self.merged_width)
        yield "mm.model.mlp.0.bias", draw.normal(self.merged_width)
        yield "mm.model.mlp.1.weight", draw.normal(self.row_width, self.merged_width)
        yield "mm.model.mlp.1.bias", draw.normal(self.row_width)
        yield "mm.model.mlp.3.weight", draw.normal(self.row_width, self.row_width)
        yield "mm.model.mlp.3.bias", draw.normal(self.row_width)


@dataclass(frozen=True)
class TinyIdefics3(Merging):
    kind: str = "idefics3"
    image_size: int = 32
    longest: int = 64  # the longer side of a picture before it is cut
    has_class = False

    @property
    def positions(self) -> tuple[int, ...]:
        return (self.num_patches, self.width)

    @property
    def keys(self) -> dict[str, Any]:
        return {**super().keys, "clip.vision.preproc_image_size": self.longest}

    def behind(self, draw: Draw) -> Tensors:
        yield "mm.model.fc.weight", draw.normal(self.row_width, self.merged_width)


@dataclass(frozen=True)
class TinyLlama4(Merging):
    kind: str = "llama4"
    image_size: int = 32

    @property
    def patch_shape(self) -> tuple[int, ...]:
        return (self.width, 3 * self.patch_size**2)

    def behind(self, draw: Draw) -> Tensors:
        yield "mm.model.mlp.1.weight", draw.normal(48, self.merged_width)
        yield "mm.model.mlp.2.weight", draw.normal(40, 48)
        yield "mm.model.fc.weight", draw.normal(self.row_width, 40)


@dataclass(frozen=True)
class TinyMiniCPMV(TinyProjector):
    kind: str = "resampler"
    num_queries: int = 6
    version: int = 3
    has_class = False
    positions_per_side = 70

    @property
    def num_rows(self) -> int:
        """Of each picture, or of each tile."""
        return self.num_queries

    @property
    def positions(self) -> tuple[int, ...]:
        return (self.positions_per_side**2, self.width)

    @property
    def keys(self) -> dict[str, Any]:
        return {"clip.minicpmv_query_num": self.num_queries, "clip.minicpmv_version": self.version}

    def behind(self, draw: Draw) -> Tensors:
        width = self.row_width
        yield "resampler.pos_embed_k", draw.normal(self.num_patches, width)
        yield "resampler.query", draw.normal(self.num_queries, width)
        yield "resampler.proj.weight", draw.normal(width, width)
        yield "resampler.kv.weight", draw.normal(width, self.width)
        for name in ("q", "k", "v", "out"):
            yield f"resampler.attn.{name}.weight", draw.normal(width, width)
            yield f"resampler.attn.{name}.bias", draw.normal(width)
        for name in ("q", "kv", "post"):
            yield f"resampler.ln_{name}.weight", draw.near_one(width)
            yield f"resampler.ln_{name}.bias", draw.normal(width)

"""An mmproj file is checked by our own reader before mtmd sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.api.errors import ModelFileError, UnsupportedModelError, UsageError
from cluster.pictures.projector import check_fits, check_room, open_projector
from tests.fakes.tiny_families import (
    TinyGemma3,
    TinyGemma4,
    TinyIdefics3,
    TinyInternVL,
    TinyKimiVL,
    TinyLightOnOcr,
    TinyLlama4,
    TinyMiniCPMV,
    TinyPixtral,
)
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.fakes.tiny_projector import TinyProjector, write_projector


class OtherQueries(TinyMiniCPMV):
    """It says that it asks for another number of rows than it has queries."""

    @property
    def keys(self) -> dict[str, Any]:
        return {**super().keys, "clip.minicpmv_query_num": 7}


def test_a_sound_file_says_how_wide_its_rows_are(tmp_path: Path) -> None:
    projector = open_projector(str(write_projector(tmp_path / "p.gguf", TinyProjector(row_width=96))))
    assert (projector.kind.name, projector.row_width) == ("mlp", 96)
    check_fits(projector, 96, "m")
    with pytest.raises(UsageError, match=r"its rows have 96 values, those of m 128; give the mmproj file"):
        check_fits(projector, 128, "m")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"patch_size": 0}, "patch_size: 0 is not within 1 to"),
        ({"patch_size": 33}, "patch_size: 33 is more than image_size"),
        ({"image_size": 8000, "patch_size": 2}, "patch_size: more than"),
        ({"image_size": 2**31}, "image_size: 2147483648 is not within"),
        ({"block_count": 2**20}, "block_count: 1048576 is not within"),
        ({"attention.head_count": 3}, "attention.head_count: does not divide embedding_length"),
        ({"embedding_length": None}, "embedding_length: missing"),
    ],
)
def test_numbers_that_mtmd_would_divide_by_or_make_room_for_are_bounded(
    changes: dict[str, int | None], field: str, tmp_path: Path
) -> None:
    path = write_projector(tmp_path / "p.gguf", TinyProjector(), changes)
    with pytest.raises(ModelFileError, match=rf"{path}: clip\.vision\.{field}"):
        open_projector(str(path))


def test_a_damaged_file_is_no_mmproj(tmp_path: Path) -> None:
    whole = write_projector(tmp_path / "p.gguf", TinyProjector()).read_bytes()
    for number, data in enumerate((whole[:1000], whole[:-100], b"", whole.replace(b"mm.2.weight", b"mm.7.weight"))):
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(data)
        with pytest.raises(ModelFileError, match=str(path)):
            open_projector(str(path))


def test_another_family_is_named(tmp_path: Path) -> None:
    path = write_projector(tmp_path / "p.gguf", TinyProjector(kind="cogvlm"))
    with pytest.raises(UnsupportedModelError, match=r"'cogvlm' is not served; .* one of: mlp, .*qwen2vl_merger"):
        open_projector(str(path))
    with pytest.raises(ModelFileError, match=r"general\.architecture: not clip"):
        open_projector(str(write_tiny(tmp_path / "m.gguf", TinyModel())))
    with pytest.raises(UsageError, match="give the mmproj file"):
        open_projector(str(tmp_path / "none.gguf"))


@pytest.mark.parametrize(
    ("projector", "whole_rows"),
    [
        (TinyGemma3(row_width=96), 16),
        (TinyGemma4(row_width=96), 1120),
        (TinyIdefics3(row_width=96), 0),
        (TinyInternVL(row_width=96), 0),
        (TinyLlama4(row_width=96), 0),
        (TinyMiniCPMV(row_width=256), 0),
        (TinyPixtral(row_width=96), 0),
        (TinyLightOnOcr(row_width=96), 0),
        (TinyKimiVL(row_width=96), 0),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_each_family_says_how_wide_its_rows_are_and_how_many_go_together(
    projector: TinyProjector, whole_rows: int, tmp_path: Path
) -> None:
    found = open_projector(str(write_projector(tmp_path / "p.gguf", projector)))
    assert (found.kind.name, found.row_width, found.whole_rows) == (projector.kind, projector.row_width, whole_rows)
    check_room(found, 1120)
    if whole_rows:
        with pytest.raises(UsageError, match=rf"up to {whole_rows} rows, .* give --ubatch-size {whole_rows} or more"):
            check_room(found, whole_rows - 1)


@pytest.mark.parametrize(
    ("projector", "changes", "why"),
    [
        (TinyGemma3(merge=0), {}, "scale_factor: 0 is not within 1 to 8"),
        (TinyGemma3(merge=3), {}, "scale_factor: 3 does not divide the 8 patches"),
        (TinyGemma3(), {"embedding_length": 30}, "input_projection.weight: 32 rows; it is multiplied by 30"),
        (TinyGemma4(merge=40), {}, "scale_factor: 40 makes pictures of too many patches"),
        (TinyGemma4(width=28), {}, "head_count: leaves heads whose width is no multiple of 4"),
        (TinyGemma4(), {"projector.scale_factor": 3}, "position_embd.weight: not 2 tables of at least 3360 rows"),
        (TinyPixtral(), {"spatial_merge_size": 0}, "spatial_merge_size: 0 is not within"),
        (TinyPixtral(merge=9), {}, "spatial_merge_size: 9 makes pictures of too many"),
        (TinyPixtral(patch_size=64, merge=8, image_size=512), {}, "spatial_merge_size: 8 makes pictures of too many"),
        (TinyLightOnOcr(longest=8193), {}, "preproc_image_size: 8193 is not within"),
        (TinyLightOnOcr(longest=8192), {}, "preproc_image_size: 8192 makes pictures of too many patches"),
        (TinyKimiVL(merge=1), {}, "scale_factor: 1 patch makes no row"),
        (TinyInternVL(), {"preproc_max_tiles": 2**30}, "preproc_max_tiles: 1073741824 is not within"),
        (TinyInternVL(), {"preproc_min_tiles": 7}, "preproc_min_tiles: 7 is not within 1 to 6"),
        (TinyInternVL(), {"preproc_min_tiles": 0}, "preproc_min_tiles: 0 is not within 1 to 6"),
        (TinyInternVL(image_size=8192, patch_size=64), {}, "preproc_max_tiles: 7 tiles in a picture are too many"),
        (TinyIdefics3(merge=1), {}, "scale_factor: 1 is not within 2 to 4"),
        (TinyIdefics3(longest=0), {}, "preproc_image_size: missing, with tiles of 32 pixels only"),
        (TinyIdefics3(longest=9000), {}, "preproc_image_size: .* tiles in a picture are too many"),
        (TinyLlama4(image_size=4096, patch_size=32), {}, "image_size: 10 tiles in a picture are too many"),
        (OtherQueries(), {}, "query_num: 7 is not the number of rows"),
        (TinyMiniCPMV(version=9), {}, "minicpmv_version: 9 is not one of"),
        (TinyMiniCPMV(row_width=96), {}, "proj.weight: 96 columns; not square, or no multiple of 128"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_what_each_family_divides_by_or_makes_room_for_is_bounded(
    projector: TinyProjector, changes: dict[str, int], why: str, tmp_path: Path
) -> None:
    path = write_projector(tmp_path / "p.gguf", projector, changes)
    with pytest.raises(ModelFileError, match=rf"{path}: .*{why}"):
        open_projector(str(path))


@pytest.mark.parametrize(
    ("projector", "name"),
    [
        (TinyGemma3(), b"mm.input_projection.weight"),
        (TinyGemma4(), b"v.position_embd.weight"),
        (TinyPixtral(), b"v.token_embd.img_break"),
        (TinyInternVL(), b"v.class_embd"),
        (TinyLlama4(), b"v.position_embd.weight"),
        (TinyMiniCPMV(), b"resampler.query"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_a_family_without_one_of_its_tensors_is_refused(projector: TinyProjector, name: bytes, tmp_path: Path) -> None:
    path = write_projector(tmp_path / "p.gguf", projector)
    path.write_bytes(path.read_bytes().replace(name, name[:-1] + b"X"))
    with pytest.raises(ModelFileError, match=str(path)):
        open_projector(str(path))

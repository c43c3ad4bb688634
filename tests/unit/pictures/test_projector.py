"""An mmproj file is checked by our own reader before mtmd sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.api.errors import ModelFileError, UnsupportedModelError, UsageError
from cluster.pictures.projector import check_fits, open_projector
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.fakes.tiny_projector import TinyProjector, write_projector


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
    path = write_projector(tmp_path / "p.gguf", TinyProjector(kind="ldp"))
    with pytest.raises(UnsupportedModelError, match=r"'ldp' is not served; .* one of: mlp, qwen2vl_merger"):
        open_projector(str(path))
    with pytest.raises(ModelFileError, match=r"general\.architecture: not clip"):
        open_projector(str(write_tiny(tmp_path / "m.gguf", TinyModel())))
    with pytest.raises(UsageError, match="give the mmproj file"):
        open_projector(str(tmp_path / "none.gguf"))

"""Files for pictures of Qwen's models: what their graphs divide by, assert or read beside is checked before mtmd."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cluster.api.errors import ModelFileError, UnsupportedModelError, UsageError
from cluster.pictures.projector import open_projector
from cluster.planning.projectors import check_projector
from tests.fakes.opened import opened
from tests.fakes.projectors.qwen import QwenProjector
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.fakes.tiny_projector import TinyProjector, write_projector

SECTIONS = (4, 6, 6, 0)
SECOND = QwenProjector()
WINDOWED = QwenProjector(kind="qwen2.5vl_merger")
THIRD = QwenProjector(kind="qwen3vl_merger", deepstack=(0, 2))


@pytest.mark.parametrize("projector", [SECOND, WINDOWED, THIRD], ids=lambda one: one.kind)
def test_a_sound_file_says_how_wide_its_rows_are(projector: QwenProjector, tmp_path: Path) -> None:
    found = open_projector(str(write_projector(tmp_path / "p.gguf", projector)))
    assert (found.kind.name, found.row_width) == (projector.kind, projector.whole_width)


@pytest.mark.parametrize(
    ("projector", "changes", "why"),
    [
        (SECOND, {"patch_size": 57, "image_size": 560}, "patch_size: 57 is not within 1 to 56"),
        (SECOND, {"attention.head_count": 16}, "head_count: leaves heads whose width is no multiple of 4"),
        (SECOND, {"spatial_merge_size": 1}, "spatial_merge_size: it must be 2"),
        (SECOND, {"patch_size": 7}, r"v\.patch_embd\.weight: \(32, 3, 14, 14\); it must have shape \(32, 3, 7, 7\)"),
        (SECOND, {"n_wa_pattern": 4}, "n_wa_pattern: Qwen2-VL has no windows"),
        (SECOND, {"block_count": 4}, r"v\.blk\.3\.attn_q\.weight: missing; it must have shape \(32, 32\)"),
        (WINDOWED, {"n_wa_pattern": None}, "n_wa_pattern: missing"),
        (WINDOWED, {"n_wa_pattern": 0}, "n_wa_pattern: 0 is not within 1 to"),
        (WINDOWED, {"projection_dim": 64}, "projection_dim: it must be the width of a row, 128"),
        (THIRD, {"block_count": 4}, r"v\.blk\.3\.attn_qkv\.weight: missing"),
    ],
)
def test_numbers_are_bounded(projector: QwenProjector, changes: dict[str, Any], why: str, tmp_path: Path) -> None:
    path = write_projector(tmp_path / "p.gguf", projector, changes)
    with pytest.raises(ModelFileError, match=rf"{path}: .*{why}"):
        open_projector(str(path))


class Changed(QwenProjector):
    """With one tensor of another shape, or without it."""

    def __init__(self, projector: QwenProjector, name: str, shape: tuple[int, ...] | None) -> None:
        fields = {field: getattr(projector, field) for field in QwenProjector.__dataclass_fields__}
        super().__init__(**fields)
        object.__setattr__(self, "changed", (name, shape))

    def tensors(self) -> Any:
        name, shape = self.changed  # type: ignore[attr-defined]
        found: dict[str, NDArray[np.float32]] = dict(super().tensors())
        found.pop(name, None)
        if shape is not None:
            found[name] = np.zeros(shape, np.float32)
        return found.items()


@pytest.mark.parametrize(
    ("projector", "name", "shape"),
    [
        (SECOND, "mm.0.weight", (128, 127)),
        (SECOND, "mm.0.bias", (127,)),
        (SECOND, "mm.2.weight", None),
        (SECOND, "mm.2.weight", (128, 100)),
        (SECOND, "mm.2.bias", (64,)),
        (SECOND, "v.patch_embd.weight.1", None),
        (SECOND, "v.patch_embd.bias", (32,)),
        (SECOND, "v.class_embd", (32,)),
        (SECOND, "v.blk.1.attn_k.bias", None),
        (SECOND, "v.blk.1.attn_v.weight", (32, 16)),
        (THIRD, "v.patch_embd.bias", None),
        (THIRD, "v.position_embd.weight", (15, 32)),
        (THIRD, "v.position_embd.weight", None),
        (THIRD, "v.blk.2.attn_qkv.bias", (32,)),
        (THIRD, "v.deepstack.2.norm.weight", (32,)),
        (THIRD, "v.deepstack.2.fc1.bias", None),
        (THIRD, "v.deepstack.0.fc2.weight", (64, 128)),
    ],
)
def test_tensors_have_the_shapes_that_the_graph_needs(
    projector: QwenProjector, name: str, shape: tuple[int, ...] | None, tmp_path: Path
) -> None:
    path = write_projector(tmp_path / "p.gguf", Changed(projector, name, shape))
    with pytest.raises(ModelFileError, match=rf"{path}: {name}: "):
        open_projector(str(path))


@pytest.mark.parametrize(
    ("model", "projector"),
    [
        (TinyModel("qwen2vl", sections=SECTIONS), SECOND),
        (TinyModel("qwen2vl", sections=SECTIONS), WINDOWED),
        (TinyModel("qwen3vl", sections=SECTIONS, deepstack=2), THIRD),
    ],
)
def test_a_file_fits_its_model(model: TinyModel, projector: QwenProjector, tmp_path: Path) -> None:
    found = opened(write_tiny(tmp_path / "m.gguf", model)).model
    check_projector(str(write_projector(tmp_path / "p.gguf", projector)), found, 512)


@pytest.mark.parametrize(
    ("model", "projector", "error", "why"),
    [
        (TinyModel(), SECOND, UnsupportedModelError, "qwen2vl_merger projectors are for qwen2vl; leave it out"),
        (
            TinyModel("qwen3vl", sections=SECTIONS),
            SECOND,
            UnsupportedModelError,
            "qwen3vl cannot be given pictures here: qwen2vl_merger projectors are for qwen2vl",
        ),
        (
            TinyModel("qwen2vl", sections=SECTIONS),
            TinyProjector(),
            UnsupportedModelError,
            "its positions have several sections, which pictures of mlp projectors have not been compared in",
        ),
        (
            TinyModel("qwen3vl", sections=SECTIONS, deepstack=3),
            THIRD,
            UsageError,
            "its rows have 384 values, those of qwen3vl 512; give the mmproj file that was made for this model",
        ),
        (TinyModel("qwen2vl", sections=SECTIONS), replace(SECOND, row_width=64), UsageError, "its rows have 64 values"),
    ],
)
def test_a_file_for_another_model_is_refused(
    model: TinyModel, projector: TinyProjector, error: type[Exception], why: str, tmp_path: Path
) -> None:
    found = opened(write_tiny(tmp_path / "m.gguf", model)).model
    path = write_projector(tmp_path / "p.gguf", projector)
    with pytest.raises(error, match=why):
        check_projector(str(path), found, 512)

"""The encoder of pictures in the plan: what it needs of the head, and of microbatches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.api.errors import CapacityError, UsageError
from cluster.config import ClusterConfig
from cluster.pictures.projector import open_projector
from cluster.planning.any_plan import check_any
from cluster.planning.projectors import beside_encoder
from tests.fakes.fake_nodes import FakeNodes, fake_node
from tests.fakes.projectors.paddleocr import PaddleProjector
from tests.fakes.projectors.qwen import QwenProjector
from tests.fakes.tiny_families import TinyGemma3, TinyPixtral
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.fakes.tiny_projector import TinyProjector, write_projector


@pytest.fixture
def config(tmp_path: Path) -> ClusterConfig:
    model = write_tiny(tmp_path / "m.gguf", TinyModel("gemma3", window=8, period=2))
    return ClusterConfig(model=str(model), mmproj=str(write_projector(tmp_path / "p.gguf", TinyGemma3())))


def test_its_memory_is_taken_from_the_cpu_of_the_head(config: ClusterConfig) -> None:
    nodes = FakeNodes((fake_node("one", "CPU", "CUDA0"), fake_node("two", "CPU")))
    assert config.mmproj is not None
    needed = open_projector(config.mmproj).memory_bytes
    assert needed > sum(values.nbytes for _, values in TinyGemma3().tensors())
    left = beside_encoder(config, nodes).facts
    before, after = nodes.facts[0].device("CPU"), left[0].device("CPU")
    assert before is not None and after is not None
    assert before.memory_free_bytes - after.memory_free_bytes == needed
    assert left[0].device("CUDA0") == nodes.facts[0].device("CUDA0")
    assert left[1] == nodes.facts[1]
    assert beside_encoder(replace(config, mmproj=None), nodes) is nodes


def test_what_has_no_room_is_refused(config: ClusterConfig) -> None:
    with pytest.raises(CapacityError, match=r"mmproj: .*p\.gguf needs .* MiB, one/CPU has 0\.1 MiB for it"):
        beside_encoder(config, FakeNodes((fake_node("one", free_bytes=100_000),)))


def test_pictures_of_many_patches_take_more(tmp_path: Path) -> None:
    """Those that keep their shape may have 1024 rows, of several patches each."""
    sizes = []
    for merge in (1, 2):
        path = write_projector(tmp_path / f"{merge}.gguf", TinyPixtral(merge=merge))
        sizes.append(open_projector(str(path)).memory_bytes)
    assert sizes[1] > 3 * sizes[0]


def test_most_rows_of_pictures_with_positions_are_counted(tmp_path: Path) -> None:
    """Qwen's may have 4096, of four patches each, and PaddleOCR's as many as the file says."""
    small = TinyProjector(image_size=56, patch_size=14)
    paddle = PaddleProjector()
    double = {"image_max_pixels": 2 * paddle.keys["clip.vision.image_max_pixels"]}

    def beside_weights(projector: TinyProjector, changes: dict[str, int] | None = None) -> int:
        found = open_projector(str(write_projector(tmp_path / "p.gguf", projector, changes)))
        return found.memory_bytes - sum(values.nbytes for _, values in projector.tensors())

    assert beside_weights(QwenProjector()) == 4096 * 4 * beside_weights(small) // 4**2
    assert beside_weights(paddle, double) == 2 * beside_weights(paddle) > beside_weights(small)


def test_a_microbatch_that_has_no_room_for_a_picture_is_refused_before_anything_starts(config: ClusterConfig) -> None:
    check_any(replace(config, ubatch_size=16))
    with pytest.raises(UsageError, match=r"mmproj: .*up to 16 rows, .* a microbatch 15; give --ubatch-size 16 or more"):
        check_any(replace(config, ubatch_size=15))

"""Random models: the right size, sound blocks, equal bytes each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize

from cluster.api.errors import UsageError
from cluster.cutting.header import read_header
from cluster.cutting.rules import check
from cluster.cutting.sizes import model_sizes
from cluster.synthetic.blocks import random_matrix
from cluster.synthetic.model import KINDS, SHAPES, VOCAB_SIZE, Shape, synthetic_model, write_model
from ggml.gguf.tensor_types import tensor_type

TINY = Shape(num_layers=2, width=256, num_heads=4, num_kv_heads=2, feed_forward=512)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_centred_and_scaled_by_the_width(kind: str) -> None:
    rows = random_matrix(kind, 600, 256, np.random.default_rng(0))
    weights = dequantize(rows, GGMLQuantizationType[kind])
    assert weights.shape == (600, 256)
    assert np.isfinite(weights).all()
    assert float(weights.std()) == pytest.approx(1 / 16, rel=0.05)
    assert abs(float(weights.mean())) < 0.01
    assert len(np.unique(rows, axis=0)) == 600


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_K"])
def test_file_is_read_back_and_the_same_each_time(kind: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first.gguf", tmp_path / "second.gguf"
    write_model(first, TINY, kind)
    write_model(second, TINY, kind)
    assert first.read_bytes() == second.read_bytes()
    header = read_header(first)
    assert (header.architecture, header.num_layers) == ("llama", 2)
    matrices = [tensor for tensor in GGUFReader(first).tensors if len(tensor.shape) > 1]
    assert len(matrices) == 2 + 7 * TINY.num_layers
    assert {tensor.tensor_type.name for tensor in matrices} == {kind}
    sizes = model_sizes(check(header), 1, tensor_type("f16"), tensor_type("f16"))
    assert sizes.embed_bytes == sizes.head_bytes - 4 * TINY.width == VOCAB_SIZE * TINY.width * 9 // 16


@pytest.mark.parametrize(
    ("name", "low", "high"), [("300m", 270, 330), ("1b", 1000, 1200), ("3b", 2800, 3300), ("8b", 7000, 8500)]
)
def test_shapes_have_the_size_of_their_name(name: str, low: int, high: int) -> None:
    shape = SHAPES[name]
    kv_width = shape.num_kv_heads * shape.head_width
    layer = 2 * shape.width * (shape.width + kv_width) + 3 * shape.width * shape.feed_forward
    millions = (shape.num_layers * layer + 2 * VOCAB_SIZE * shape.width) / 1e6
    assert low < millions < high
    assert shape.width % 256 == shape.feed_forward % 256 == 0  # whole blocks of K-quants


def test_it_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(SHAPES, "300m", TINY)
    notes: list[str] = []
    path = synthetic_model("300m:Q8_0", notes.append)
    written_ns = path.stat().st_mtime_ns
    assert synthetic_model("300m:Q8_0", notes.append) == path
    assert path.stat().st_mtime_ns == written_ns
    assert len(notes) == 1
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]  # no temporary file is left


@pytest.mark.parametrize("name", ["", "1b", "1b:", "1b:F64", "2b:Q4_0", "1b:Q4_0:x"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(UsageError, match="300m"):
        synthetic_model(name)

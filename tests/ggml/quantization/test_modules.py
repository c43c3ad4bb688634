"""Modules with quantised weights, the report on them, and importance matrices from samples."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

import ggml
from ggml import nn, quantization
from ggml.quantization import Calibrator, ImportanceMatrix, quantize_


class Block(nn.Module):
    """Two products around an activation, and a residual: a module of one's own."""

    def __init__(self, width: int = 256, hidden: int = 512) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width)
        self.scale = nn.Parameter(ggml.ones(4, 256))

    def forward(self, x: ggml.Tensor) -> ggml.Tensor:
        return x + self.down(self.up(self.norm(x)).relu())


class Model(nn.Module):
    """Tokens to logits, the embedding tied to the head."""

    def __init__(self) -> None:
        super().__init__()
        ggml.manual_seed(7)
        self.embedding = nn.Embedding(64, 256)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(256, 64, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: ggml.Tensor) -> ggml.Tensor:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def _tokens() -> ggml.Tensor:
    return ggml.tensor(np.random.default_rng(0).integers(0, 64, (3, 5)))


def _raw(module: nn.Module) -> dict[str, bytes]:
    return {name: value.raw_bytes() for name, value in module.state_dict().items()}


WEIGHTS = {
    "embedding.weight",
    *(f"blocks.{i}.{name}.weight" for i in range(2) for name in ("up", "down")),
}


def test_weights_of_linear_and_embedding() -> None:
    model = Model()
    before, outputs = {name: value.float().numpy() for name, value in model.named_parameters()}, model(_tokens())
    report = quantize_(model, ggml.q8_0)
    assert {row.name for row in report.tensors} == WEIGHTS
    for name, parameter in model.named_parameters():
        assert parameter.dtype is (ggml.q8_0 if name in WEIGHTS else ggml.float32)
        if name in WEIGHTS:
            assert parameter.raw_bytes() == quantization.quantize(ggml.tensor(before[name]), ggml.q8_0).raw_bytes()
            assert not parameter.requires_grad
    assert model.head.weight is model.embedding.weight
    gap = (model(_tokens()) - outputs).abs().max().item()
    assert 0 < gap < 0.05 * outputs.abs().max().item()


def test_the_report_says_what_happened() -> None:
    layer = nn.Linear(256, 8)
    before = layer.weight.numpy().copy()
    report = quantize_(layer, ggml.q4_k)
    (row,) = report.tensors
    gap = quantization.dequantize(layer.weight).numpy() - before
    assert (row.name, row.shape, row.before, row.after) == ("weight", (8, 256), ggml.float32, ggml.q4_k)
    assert (row.bytes_before, row.bytes_after) == (8 * 256 * 4, 8 * 144)
    assert row.rmse == pytest.approx(math.sqrt(float(np.square(gap).mean())))
    assert row.max_error == pytest.approx(float(np.abs(gap).max()))
    text = str(report)
    assert "float32 -> q4_k" in text and "8192 -> 1152" in text and text.splitlines()[-1].startswith("total")


@pytest.mark.parametrize(
    ("dtype", "width", "wanted"),
    [
        (ggml.q4_k, 96, ggml.q5_0),
        (ggml.q5_k, 96, ggml.q5_1),
        (ggml.q6_k, 96, ggml.q8_0),
        (ggml.q3_k, 32, ggml.q4_0),
        (ggml.iq4_xs, 64, ggml.iq4_nl),
        (ggml.q4_k, 100, ggml.float16),
        (ggml.q8_0, 100, ggml.float16),
    ],
)
def test_rows_that_do_not_fit(dtype: ggml.DType, width: int, wanted: ggml.DType) -> None:
    layer = nn.Linear(width, 3)
    x = ggml.randn(2, width)
    outputs = layer(x)
    (row,) = quantize_(layer, dtype).tensors
    assert (
        row.after is wanted and layer.weight.dtype is wanted and row.note == f"rows of {width} do not fit {dtype.name}"
    )
    assert (layer(x) - outputs).abs().max().item() < 0.3


def test_the_filter_chooses() -> None:
    model, asked = Model(), {}

    def choose(module: nn.Module, name: str) -> bool | ggml.DType:
        asked[name] = type(module)
        return ggml.q8_0 if name.endswith("down.weight") else name == "blocks.0.scale"

    report = quantize_(model, ggml.q4_k, choose)
    assert {row.name: row.after for row in report.tensors} == {
        "blocks.0.scale": ggml.q4_k,
        "blocks.0.down.weight": ggml.q8_0,
        "blocks.1.down.weight": ggml.q8_0,
    }
    assert asked["blocks.0.scale"] is Block and asked["embedding.weight"] is nn.Embedding
    assert "blocks.0.up.bias" not in asked


def test_a_dictionary() -> None:
    weight = ggml.randn(4, 256)
    tensors: dict[str, Any] = {"a.weight": weight, "b.weight": weight, "a.bias": ggml.randn(4), "step": 3}
    report = quantize_(tensors, ggml.q4_k)
    assert len(report.tensors) == 1 and tensors["a.weight"] is tensors["b.weight"]
    assert tensors["a.weight"].dtype is ggml.q4_k and tensors["a.bias"].dtype is ggml.float32 and tensors["step"] == 3


def test_all_or_nothing() -> None:
    model = Model()
    broken = model.blocks[1].down.weight.numpy().copy()
    broken[3, 3] = math.nan
    model.blocks[1].down.weight.data = ggml.tensor(broken)
    before = _raw(model)
    with pytest.raises(ggml.ArgumentError, match=r"'blocks.1.down.weight' cannot be quantised.*NaN"):
        quantize_(model, ggml.q4_k)
    assert _raw(model) == before
    assert all(parameter.requires_grad for parameter in model.parameters())

    def stop(done: int, total: int) -> None:
        if done == total - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize_(Model(), ggml.q8_0, progress=stop)


def test_importance_that_is_missing() -> None:
    model = Model()
    before = _raw(model)
    with pytest.raises(ggml.ArgumentError, match=r"has nothing for .embedding\.weight., and ggml\.iq2_xxs needs it"):
        quantize_(model, ggml.core.dtypes.ALL["iq2_xxs"], imatrix={})
    assert _raw(model) == before


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda: quantize_(nn.Linear(32, 2), ggml.float32), ggml.DTypeError),
        (lambda: quantize_([1], ggml.q8_0), ggml.DTypeError),  # type: ignore[arg-type]
        (lambda: quantize_(nn.Linear(32, 2), ggml.q8_0, lambda *_: ggml.float32), ggml.DTypeError),
        (lambda: Calibrator(nn.ReLU()), ggml.ArgumentError),
        (lambda: Calibrator(3), ggml.DTypeError),  # type: ignore[arg-type]
    ],
)
def test_arguments_are_checked(call: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        call()


def test_compiled_functions_see_the_change() -> None:
    layer = nn.Linear(256, 4)
    x = ggml.randn(2, 256)
    compiled = ggml.compile(lambda value: layer(value))
    compiled(x).numpy()
    quantize_(layer, ggml.q4_0)
    np.testing.assert_allclose(compiled(x).numpy(), layer(x).numpy(), rtol=1e-6, atol=1e-6)


def test_a_state_dict_of_quantised_weights_loads() -> None:
    one, other = Block(), Block()
    quantize_(one, ggml.q4_k)
    other.load_state_dict(one.state_dict(), assign=True)
    assert _raw(other) == _raw(one)


# Importance matrices


def test_the_calibrator_sums_squares() -> None:
    block, seen = Block(), []
    handle = block.up.register_forward_pre_hook(lambda module, args: seen.append(args[0].numpy().reshape(-1, 256)))
    with Calibrator(block) as calibrator:
        for rows in (1, 4, 7):
            block(ggml.randn(2, rows, 256))
    handle.remove()
    matrix = calibrator.imatrix
    assert set(matrix) == {"up.weight", "down.weight"}
    inputs = np.concatenate(seen).astype(np.float64)
    np.testing.assert_allclose(matrix["up.weight"], np.square(inputs).mean(0, keepdims=True), rtol=1e-5)
    assert matrix["down.weight"].shape == (1, 512) and matrix.counts("up.weight") == [24]
    block(ggml.randn(5, 256))
    assert matrix.counts("up.weight") == [24]  # it looks no longer


def test_the_calibrator_lets_go_after_an_error() -> None:
    block = Block()
    with pytest.raises(ggml.ArgumentError, match=r"'up.weight' was given NaN"), Calibrator(block):
        block(ggml.full((1, 256), math.nan))
    assert not block.up._forward_pre_hooks
    with pytest.raises(ggml.TracingError), Calibrator(block):
        ggml.compile(lambda x: block(x))(ggml.ones(1, 256))


def test_what_is_calibrated_is_closer() -> None:
    """Columns that carry more: their weights keep more precision, and the outputs are nearer."""
    layer = nn.Linear(256, 64, bias=False)
    samples = ggml.randn(64, 256) * ggml.tensor(np.where(np.arange(256) % 16 == 0, 30.0, 0.3).astype(np.float32))
    with Calibrator(layer) as calibrator:
        layer(samples)

    def error(imatrix: Any) -> float:
        copy = nn.Linear(256, 64, bias=False)
        copy.load_state_dict(layer.state_dict())
        quantize_(copy, ggml.q3_k, imatrix=imatrix)
        weight = quantization.dequantize(copy.weight)
        return (samples @ (weight - layer.weight).T).square().mean().item()

    assert error(calibrator.imatrix) < 0.7 * error(None)


def _matrix() -> ImportanceMatrix:
    matrix = ImportanceMatrix(("wiki",), 3, 512)
    matrix.add("a.weight", np.arange(8.0), 4)
    matrix.add("experts.weight", np.arange(6.0).reshape(3, 2), [2, 0, 1])
    return matrix


def test_files_of_llama_cpp(tmp_path: Path) -> None:
    _matrix().save(tmp_path / "m.gguf")
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert list(tensors["experts.weight.in_sum2"].shape) == [2, 3]  # as llama.cpp has it: columns first
    assert list(tensors["experts.weight.counts"].shape) == [1, 3]
    assert tensors["a.weight.counts"].data.reshape(-1).tolist() == [4]
    assert reader.fields["imatrix.chunk_count"].contents() == 3
    assert reader.fields["imatrix.datasets"].contents() == ["wiki"]
    assert reader.fields["general.type"].contents() == "imatrix"
    back = ImportanceMatrix.load(tmp_path / "m.gguf")
    assert (back.datasets, back.num_chunks, back.chunk_size) == (("wiki",), 3, 512)
    np.testing.assert_array_equal(back["a.weight"], [np.arange(8) / 4])
    np.testing.assert_array_equal(back["experts.weight"], [[0, 0.5], [1, 1], [4, 5]])
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


def _old_file(name: bytes = b"w", calls: int = 2, values: tuple[float, ...] = (2.0, 4.0), tail: bytes = b"") -> bytes:
    body = struct.pack("<i", len(name)) + name + struct.pack(f"<ii{len(values)}f", calls, len(values), *values)
    return struct.pack("<i", 1) + body + tail


def test_the_older_format(tmp_path: Path) -> None:
    path = tmp_path / "m.dat"
    path.write_bytes(_old_file(tail=struct.pack("<ii", 9, 3) + b"txt"))
    matrix = ImportanceMatrix.load(path)
    assert matrix["w"].tolist() == [[1, 2]] and matrix.num_chunks == 9 and matrix.datasets == ("txt",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GGUF",
        b"no such thing",
        _old_file()[:-1],
        _old_file(values=(math.nan,)),
        _old_file(values=(-1.0,)),
        struct.pack("<ii", 1, 1 << 30),
        struct.pack("<i", -5),
    ],
)
def test_hostile_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(ggml.FileFormatError):
        ImportanceMatrix.load(tmp_path / "m")


def test_files_that_are_something_else(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ImportanceMatrix.load(tmp_path / "none")
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_tensor("a.in_sum2", np.zeros(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ggml.FileFormatError, match="is no importance matrix"):
        ImportanceMatrix.load(tmp_path / "m.gguf")


def test_what_both_have_seen() -> None:
    both = _matrix().merge(_matrix())
    assert both.num_chunks == 6 and both.counts("a.weight") == [8]
    np.testing.assert_array_equal(both["a.weight"], _matrix()["a.weight"])
    other = ImportanceMatrix()
    other.add("a.weight", np.ones(3), 1)
    with pytest.raises(ggml.ShapeMismatchError):
        both.merge(other)
    with pytest.raises(ggml.ArgumentError, match="more than 55 bytes"):
        other.add("n" * 60, np.ones(3), 1)
        other.save("unused.gguf")


@pytest.mark.parametrize(
    "dtype",
    [dtype for dtype in quantization.types() if dtype.name not in ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s")],
    ids=str,
)
def test_layers_compute_with_every_type(dtype: ggml.DType) -> None:
    """An embedding's rows are exact; a product rounds its other operand to 8 bits, or to the half's precision."""
    linear, embedding = nn.Linear(512, 8), nn.Embedding(16, 512)
    quantize_(linear, dtype)
    quantize_(embedding, dtype)
    x, ids = ggml.randn(3, 512), ggml.tensor([1, 5, 5, 0])
    wanted = x @ quantization.dequantize(linear.weight).T + linear.bias
    assert ((linear(x) - wanted).abs().max() / wanted.abs().max()).item() < 0.03
    rows = quantization.dequantize(embedding.weight)[ids]
    np.testing.assert_array_equal(embedding(ids).float().numpy(), rows.numpy())


def test_choices_of_nothing_are_refused() -> None:
    model = nn.Sequential(nn.Linear(32, 32), nn.ReLU())
    for choose in (lambda: quantize_(model, ggml.q8_0, lambda owner, name: "atn" in name),
                   lambda: quantize_(nn.Sequential(nn.ReLU()), ggml.q8_0),
                   lambda: quantize_({"w": ggml.ones(32, 32)}, ggml.q8_0)):  # fmt: skip
        with pytest.raises(ggml.ArgumentError, match="filter_fn"):
            choose()
    with pytest.raises(ggml.ArgumentError, match=r"imatrix has nothing for '0.weight'.*it has 'x'"):
        quantize_(model, ggml.q8_0, imatrix={"x": np.ones(32)})
    assert model[0].weight.dtype is ggml.float32
    assert len(quantize_(model, ggml.q8_0).changed) == 1
    assert not quantize_(model, ggml.q8_0).tensors  # there is nothing left to do
    with pytest.raises(ggml.ArgumentError, match="name Embedding, of which the module holds none"):
        ggml.quantization.Calibrator(nn.Linear(4, 4), types=(nn.Embedding,))

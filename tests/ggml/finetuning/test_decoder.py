"""The module of a GGUF: logits are libllama's, gradients PyTorch's, and files that do not fit are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import torch

import ggml
from ggml.finetuning import add_lora, chunked_cross_entropy, load_decoder
from ggml.finetuning.batches import padded
from ggml.finetuning.state import parameters_of
from ggml.finetuning.texts import IGNORED, Example
from ggml.nn import functional
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.ggml.finetuning.models import MODELS, TOKENS, distance, libllama, torch_loss

DEMO = Path(__file__).parents[3] / "cluster" / "demo" / "demo.gguf"


def _logits(path: Path, tokens: list[int]) -> Any:
    with ggml.no_grad():
        return load_decoder(path).eval()(ggml.tensor([tokens]))[0].numpy()


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_libllama(name: str, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "model.gguf", MODELS[name])
    assert distance(_logits(path, TOKENS), libllama(path, TOKENS)) < 1e-5


def test_logits_of_k_quants(tmp_path: Path) -> None:
    whole = write_tiny(tmp_path / "whole.gguf", TinyModel(width=256, feed_forward=256))
    ggml.quantization.quantize_file(whole, tmp_path / "model.gguf", "Q4_K", pure=True)
    assert distance(_logits(tmp_path / "model.gguf", TOKENS), libllama(tmp_path / "model.gguf", TOKENS)) < 1e-5


@pytest.mark.parametrize("count", [64, 13])
def test_logits_of_the_demo_model(count: int) -> None:
    """A last bit that differs moves what a row of 8 bits is rounded to, and then a hundredth of the logits."""
    tokens = np.random.default_rng(0).integers(0, 1500, count).tolist()
    assert distance(_logits(DEMO, tokens), libllama(DEMO, tokens)) < 1e-5


def test_repacked_weights_are_summed_in_another_order(tmp_path: Path) -> None:
    """libllama differs from itself by as much as from the module: what docs/ggml/finetuning.md says of 4 bits."""
    path = write_tiny(tmp_path / "model.gguf", MODELS["q4"])
    plain, repacked = libllama(path, TOKENS), libllama(path, TOKENS, repacks=True)
    np.testing.assert_allclose(
        distance(_logits(path, TOKENS), repacked), distance(plain, repacked), rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize(
    ("name", "checkpoints"), [("llama", True), ("tied-q8", False), ("qwen3", False), ("qwen2", True)]
)
def test_loss_and_gradients_are_torchs(name: str, checkpoints: bool, tmp_path: Path) -> None:
    tiny = MODELS[name]
    if tiny.rope_factors:
        tiny = TinyModel("llama", num_layers=2)
    model = load_decoder(write_tiny(tmp_path / "model.gguf", tiny))
    model.checkpoints = checkpoints
    ggml.manual_seed(2)
    layers = add_lora(model, 4, 8.0)
    for layer in layers.values():
        layer.lora_B.data = ggml.randn(*layer.lora_B.shape) * 0.05
    params = parameters_of(layers)
    rows = [Example(np.array(TOKENS[:30], np.int32), np.array(TOKENS[1:31], np.int32)),
            Example(np.array(TOKENS[40:50], np.int32), np.array([IGNORED] * 4 + TOKENS[45:51], np.int32))]  # fmt: skip
    tokens, targets = padded(rows)
    assert tokens.shape == (2, 32)
    # First PyTorch: an array of a weight waits for all that is still to be computed with it.
    theirs = {path: torch.tensor(one.detach().numpy()).requires_grad_() for path, one in params.items()}
    expected = torch_loss(model, theirs, tokens.numpy(), targets.numpy())
    expected.backward()
    loss = model.loss(tokens, targets)
    loss.backward()
    # With 8 bits rows are rounded on the way, which PyTorch's floats are not.
    tolerance = 0.15 if tiny.kind == "Q8_0" else 1e-3
    assert abs(loss.item() - expected.item()) < tolerance * 0.1 * expected.item()
    for path, one in params.items():
        assert distance(one.grad.numpy(), theirs[path].grad.numpy()) < tolerance, path


def test_chunks_are_one_cross_entropy() -> None:
    rows, weight = ggml.randn(11, 6).requires_grad_(), ggml.randn(9, 6)
    targets = ggml.tensor([1, 8, IGNORED, 0, 3, 3, IGNORED, 2, 5, 7, 4])
    most = []

    def head(part: ggml.Tensor) -> ggml.Tensor:
        most.append(part.shape[0])
        return functional.linear(part, weight)

    loss = chunked_cross_entropy(rows, head, targets, chunk_rows=4)
    loss.backward()
    assert max(most) == 4 and sum(most) == 22
    theirs = torch.tensor(rows.detach().numpy()).requires_grad_()
    logits = theirs @ torch.tensor(weight.numpy()).T
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(targets.numpy()).long(), reduction="sum")
    expected.backward()
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-5)
    np.testing.assert_allclose(rows.grad.numpy(), theirs.grad.numpy(), atol=1e-5)
    with pytest.raises(ggml.ShapeMismatchError, match="rows \\[N, D\\]"):
        chunked_cross_entropy(rows, head, targets[:3])


def _changed(path: Path, key: str, value: Any, kind: gguf.GGUFValueType) -> Path:
    """A tiny model with one key more, or another value of it."""
    writer = gguf.GGUFWriter(path, "llama")
    reader = gguf.GGUFReader(write_tiny(path.with_suffix(".whole"), TinyModel(num_layers=1)))
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name not in ("general.architecture", key):
            sub = field.types[-1] if field.types[0] is gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], sub)
    writer.add_key_value(key, value, kind)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("key", "value", "kind", "why"),
    [
        ("llama.expert_count", 4, gguf.GGUFValueType.UINT32, "llama.expert_count: 4: such models cannot"),
        ("llama.rope.scaling.type", "yarn", gguf.GGUFValueType.STRING, "'yarn' cannot be fine-tuned"),
        ("llama.attention.head_count", 0, gguf.GGUFValueType.UINT32, "head_count: 0 is out of range"),
        ("llama.attention.head_count_kv", 3, gguf.GGUFValueType.UINT32, "3 does not divide the 4 heads"),
        ("llama.rope.dimension_count", 33, gguf.GGUFValueType.UINT32, "33 is not even"),
        ("llama.attention.layer_norm_rms_epsilon", float("nan"), gguf.GGUFValueType.FLOAT32, "nan is no finite"),
        (
            "llama.feed_forward_length",
            191,
            gguf.GGUFValueType.UINT32,
            r"has shape \(192, 128\), must have \(191, 128\)",
        ),
        ("llama.block_count", 2, gguf.GGUFValueType.UINT32, "blk.1.attn_norm.weight: there is no such tensor"),
        ("split.count", 2, gguf.GGUFValueType.UINT16, "one part of several"),
    ],
)
def test_a_model_that_is_another_is_refused(
    key: str, value: Any, kind: gguf.GGUFValueType, why: str, tmp_path: Path
) -> None:
    with pytest.raises(ggml.FileFormatError, match=why):
        load_decoder(_changed(tmp_path / "model.gguf", key, value, kind))


def test_a_tensor_that_nothing_takes_is_refused(tmp_path: Path) -> None:
    """A model of qwen3 has norms of heads, without which it would be another one."""
    path = write_tiny(tmp_path / "model.gguf", TinyModel("qwen3", num_layers=1))
    path.write_bytes(path.read_bytes().replace(b"qwen3", b"qwen2"))
    with pytest.raises(
        ggml.FileFormatError, match=r"'blk\.0\.attn_k_norm\.weight': is a tensor that models of this kind"
    ):
        load_decoder(path)


def test_an_architecture_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "model.gguf", TinyModel("gemma3", window=32, period=2))
    with pytest.raises(ggml.FileFormatError, match="is 'gemma3': llama, qwen2, qwen3 can be fine-tuned"):
        load_decoder(path)

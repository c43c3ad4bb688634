"""Adapters in llama.cpp's format: libllama computes with a file what the module computes with the matrices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import ggml
from ggml.finetuning import LAYER_TARGETS, add_lora, load_adapter, load_decoder, save_adapter
from ggml.io.gguf_file import open_gguf
from tests.fakes.adapters import matrices_of, write_adapter
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.ggml.finetuning.models import MODELS, TOKENS, distance, libllama


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "model.gguf", TinyModel(num_layers=2))


def _logits(model: Any) -> Any:
    with ggml.no_grad():
        return model.eval()(ggml.tensor([TOKENS]))[0].numpy()


@pytest.mark.parametrize(("name", "alpha"), [*((name, None) for name in MODELS), ("llama", 3.0)])
def test_libllama_computes_the_same_with_the_file(name: str, alpha: float | None, tmp_path: Path) -> None:
    path, adapter = write_tiny(tmp_path / "model.gguf", MODELS[name]), tmp_path / "adapter.gguf"
    model = load_decoder(path)
    ggml.manual_seed(5)
    targets = LAYER_TARGETS if model.output is None else (*LAYER_TARGETS, "output")
    for layer in add_lora(model, 4, alpha, targets).values():
        layer.lora_B.data = ggml.randn(*layer.lora_B.shape) * 0.1
    save_adapter(model, adapter)
    ours = _logits(model)
    assert distance(ours, libllama(path, TOKENS)) > 0.05
    # The adapter's products of floats are packed here, so that last bits differ, which 16 bits and less then round.
    tolerance = {"F32": 1e-4, "F16": 2e-3, "BF16": 1e-2}.get(MODELS[name].kind, 3e-2)
    assert distance(ours, libllama(path, TOKENS, [(adapter, 1.0)])) < tolerance
    again = load_decoder(path)
    assert list(load_adapter(again, adapter)) == [name for name, _ in _loras(model)]
    np.testing.assert_array_equal(_logits(again), ours)


def _loras(model: Any) -> list[tuple[str, Any]]:
    return [(name, one) for name, one in model.named_modules() if isinstance(one, ggml.nn.LoRALinear)]


def test_what_the_file_says(tiny: Path, tmp_path: Path) -> None:
    model = load_decoder(tiny)
    add_lora(model, 2, targets=("attn_v",))
    save_adapter(model, tmp_path / "adapter.gguf")
    file = open_gguf(tmp_path / "adapter.gguf")
    assert file.metadata == {
        "general.type": "adapter",
        "general.architecture": "llama",
        "adapter.type": "lora",
        "adapter.lora.alpha": 4.0,
    }
    assert [(one.name, one.type, one.shape) for one in file.tensors] == [
        (f"blk.{layer}.attn_v.weight.lora_{part}", "f32", shape)
        for layer in range(2)
        for part, shape in (("a", (2, 128)), ("b", (64, 2)))
    ]


def test_an_adapter_of_others_is_taken(tiny: Path, tmp_path: Path) -> None:
    """As converters write it, without an alpha: the scale is 1."""
    matrices = {name: one for name, one in matrices_of(tiny).items() if "token_embd" not in name}
    adapter = write_adapter(tmp_path / "adapter.gguf", tiny, matrices, alpha=None)
    model = load_decoder(tiny)
    load_adapter(model, adapter)
    assert distance(_logits(model), libllama(tiny, TOKENS, [(adapter, 1.0)])) < 1e-3


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"general_type": "model"}, "general.type: is 'model', must be 'adapter'"),
        ({"adapter_type": "control_vector"}, "adapter.type: is 'control_vector'"),
        ({"architecture": "qwen2"}, "general.architecture: is 'qwen2', must be 'llama'"),
        ({"alpha": float("inf")}, "alpha: is inf, must be a finite number"),
        ({"matrices": {"blk.0.attn_q.weight.lora_a": np.zeros((4, 128), np.float32)}}, "only one of lora_a and lora_b"),
        ({"matrices": {"blk.7.attn_q.weight.lora_a": np.zeros((4, 128), np.float32)}}, "the model has no such matrix"),
        ({"matrices": {"token_embd.weight.lora_a": np.zeros((4, 128), np.float32)}}, "no matrix of an adapter"),
        (
            {"matrices": {f"blk.0.attn_q.weight.lora_{part}": np.zeros((4, 64), np.float32) for part in "ab"}},
            r"shapes \(4, 64\) and \(4, 64\) do not fit \(128, 128\)",
        ),
    ],
)
def test_what_is_no_adapter_of_this_model(changes: dict[str, Any], why: str, tiny: Path, tmp_path: Path) -> None:
    model = load_decoder(tiny)
    with pytest.raises(ggml.FileFormatError, match=why):
        load_adapter(model, write_adapter(tmp_path / "adapter.gguf", tiny, **{"matrices": {}, **changes}))
    assert not _loras(model)


def test_where_lora_cannot_be(tmp_path: Path, tiny: Path) -> None:
    model = load_decoder(write_tiny(tmp_path / "tied.gguf", TinyModel(num_layers=1, tied=True)))
    with pytest.raises(ggml.ArgumentError, match="output: the head is the embedding"):
        add_lora(model, targets=("output",))
    with pytest.raises(ggml.ArgumentError, match="'attn_x' is none of attn_q"):
        add_lora(model, targets=("attn_x",))
    with pytest.raises(ggml.ArgumentError, match="has no LoRA"):
        save_adapter(model, tmp_path / "adapter.gguf")
    add_lora(model)
    with pytest.raises(ggml.ArgumentError, match="has LoRA already"):
        add_lora(model)


def test_gguf_py_reads_it(tiny: Path, tmp_path: Path) -> None:
    model = load_decoder(tiny)
    layers = add_lora(model, 2)
    save_adapter(model, tmp_path / "adapter.gguf")
    tensors = {one.name: one.data for one in gguf.GGUFReader(tmp_path / "adapter.gguf").tensors}
    assert len(tensors) == 2 * len(layers)
    for name, layer in layers.items():
        np.testing.assert_array_equal(tensors[f"{name}.weight.lora_a"], layer.lora_A.detach().numpy())

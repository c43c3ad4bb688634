"""LoRALinear beside PyTorch: what it computes, what learns, and what passes a frozen weight of few bits."""

from __future__ import annotations

import numpy as np
import pytest

import ggml
from ggml import nn

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

KINDS = ["float32", "float16", "q8_0", "q4_0", "q4_k"]
RANK, ALPHA, NUM_IN, NUM_OUT = 4, 6.0, 256, 24


def _layer(kind: str) -> nn.LoRALinear:
    ggml.manual_seed(1)
    base = nn.Linear(NUM_IN, NUM_OUT)
    if kind.startswith("q"):
        ggml.quantization.quantize_(base, getattr(ggml, kind))
    elif kind == "float16":
        base.weight.data = base.weight.detach().to(ggml.float16)
    layer = nn.LoRALinear(base, RANK, ALPHA)
    layer.lora_B.data = ggml.randn(NUM_OUT, RANK)
    return layer


@pytest.mark.parametrize("kind", KINDS)
def test_results_and_gradients_are_torchs(kind: str) -> None:
    """Rows meet a weight of few bits in its own precision, so that results are near; gradients are of its floats."""
    layer = _layer(kind)
    x = ggml.randn(3, 5, NUM_IN).requires_grad_()
    weigh = ggml.randn(3, 5, NUM_OUT)
    y = layer(x)
    (y * weigh).sum().backward()
    weight, bias, a, b, rows, by = (
        torch.tensor(one.detach().float().numpy()).requires_grad_()
        for one in (layer.base.weight, layer.base.bias, layer.lora_A, layer.lora_B, x, weigh)
    )
    expected = rows @ weight.T + bias + ALPHA / RANK * (rows @ a.T) @ b.T
    (expected * by).sum().backward()
    tolerance = 1e-5 if kind == "float32" else 2e-2
    np.testing.assert_allclose(
        y.detach().numpy(), expected.detach().numpy(), atol=tolerance * expected.detach().abs().max().item()
    )
    for ours, theirs in ((layer.lora_A.grad, a.grad), (layer.lora_B.grad, b.grad), (x.grad, rows.grad)):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-4)


def test_only_the_two_matrices_learn_and_nothing_changes_before_the_first_step() -> None:
    base = nn.Linear(8, 6)
    x = ggml.randn(4, 8)
    before = base(x).numpy()
    layer = nn.LoRALinear(base, 2, 4)
    assert [name for name, one in layer.named_parameters() if one.requires_grad] == ["lora_A", "lora_B"]
    assert list(layer.state_dict()) == ["lora_A", "lora_B", "base.weight", "base.bias"]
    np.testing.assert_array_equal(layer(x).detach().numpy(), before)
    drawn = layer.lora_A.detach().numpy()
    assert 0.2 < np.abs(drawn).max() <= 8**-0.5
    assert (layer.lora_A.dtype, layer.lora_A.shape, layer.lora_B.shape) == (ggml.float32, (2, 8), (6, 2))


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_merged_it_is_one_product_and_unmerged_what_it_was(kind: str) -> None:
    layer = _layer(kind)
    x = ggml.randn(2, NUM_IN)
    apart, weight = layer(x).detach().numpy(), layer.base.weight.detach().numpy().copy()
    layer.merge()
    layer.merge()
    assert layer.merged
    tolerance = 1e-4 if kind == "float32" else 0.1
    np.testing.assert_allclose(layer(x).detach().numpy(), apart, atol=tolerance)
    assert np.abs(layer.base.weight.detach().float().numpy() - weight).max() > 0.1
    layer.unmerge()
    np.testing.assert_array_equal(layer.base.weight.detach().numpy(), weight)
    np.testing.assert_array_equal(layer(x).detach().numpy(), apart)


def test_dropout_drops_what_the_product_sees_while_training() -> None:
    layer = nn.LoRALinear(nn.Linear(64, 4), 4, 4, dropout=0.5)
    layer.lora_B.data = ggml.randn(4, 4)
    x = ggml.randn(1, 64)
    assert np.abs(layer(x).detach().numpy() - layer(x).detach().numpy()).max() > 0
    layer.eval()
    np.testing.assert_array_equal(layer(x).detach().numpy(), layer(x).detach().numpy())


def test_what_does_not_fit() -> None:
    with pytest.raises(ggml.DTypeError, match="a Linear as base"):
        nn.LoRALinear(nn.Identity(), 2, 2)  # type: ignore[arg-type]
    for rank in (0, 7):
        with pytest.raises(ggml.ArgumentError, match="rank must be at least 1 and at most 6"):
            nn.LoRALinear(nn.Linear(8, 6), rank, 2)
    with pytest.raises(ggml.ArgumentError, match="alpha must be finite"):
        nn.LoRALinear(nn.Linear(8, 6), 2, float("inf"))
    with pytest.raises(ggml.DTypeError, match="merge"):
        _layer("q8_0").merge()

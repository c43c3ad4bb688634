"""Passes on models as torch.export writes them: each is used, and with it or without the results are PyTorch's."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import ggml  # noqa: E402
from tests.ggml.programs.models import Decoder, RMSNorm, repeat_heads, rotate_half  # noqa: E402


class Written(nn.Module):
    """A function as a module."""

    def __init__(self, function: Any, *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.function = function
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(*shape)) for shape in shapes])

    def forward(self, *arguments: Any) -> Any:
        return self.function(*arguments, *self.weights)


class Turned(nn.Module):
    """Tables of cosines and sines from positions, as Llama has them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", 10000.0 ** (-torch.arange(0, 8, 2) / 8))

    def forward(self, x: Any) -> Any:
        angles = torch.arange(x.shape[2])[:, None].float() * self.frequencies
        angles = torch.cat((angles, angles), dim=-1)
        return x * angles.cos() + rotate_half(x) * angles.sin()


def convolutions() -> nn.Module:
    torch.manual_seed(1)
    layers = [
        nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2, stride=2),
        nn.BatchNorm2d(4, affine=False), nn.Flatten(), nn.Linear(36, 5), nn.BatchNorm1d(5),
    ]  # fmt: skip
    for one in layers:
        if isinstance(one, (nn.BatchNorm2d, nn.BatchNorm1d)):
            one.running_mean.normal_()
            one.running_var.uniform_(0.5, 2)
            if one.affine:
                nn.init.normal_(one.weight)
                nn.init.normal_(one.bias)
    return nn.Sequential(*layers)


def grouped(query: Any, key: Any, value: Any) -> Any:
    return F.scaled_dot_product_attention(query, repeat_heads(key, 3), repeat_heads(value, 3), scale=0.3)


def interleaved(query: Any, key: Any, value: Any) -> Any:
    key, value = key.repeat_interleave(3, 1), value.repeat_interleave(3, 1)
    return F.scaled_dot_product_attention(query, key, value, is_causal=True)


HEADS = ((2, 6, 5, 8), (2, 2, 5, 8), (2, 2, 5, 8))

# What the pass is called, the model, the shapes of its inputs, which operation it makes of them, and how many.
CASES = {
    "batch_norm": ("batch_norm", convolutions, ((2, 3, 8, 8),), "aten._native_batch_norm_legit_no_training.default", 0),
    "mm": ("linear", lambda: Written(torch.mm, (6, 3)), ((4, 6),), "aten.linear.default", 1),
    "mm, turned": ("linear", lambda: Written(lambda x, w: x @ w.T, (3, 6)), ((4, 6),), "aten.linear.default", 1),
    "matmul of three axes": ("linear", lambda: Written(torch.matmul, (6, 3)), ((2, 4, 6),), "aten.linear.default", 1),
    "addmm": (
        "linear", lambda: Written(lambda x, b, w: torch.addmm(b, x, w), (3,), (6, 3)), ((4, 6),),
        "aten.linear.default", 1,
    ),
    "rms_norm": ("rms_norm", lambda: RMSNorm(8), ((2, 5, 8),), "aten.rms_norm.default", 1),
    "rms_norm of 1 + weight": ("rms_norm", lambda: RMSNorm(8, True), ((2, 5, 8),), "aten.rms_norm.default", 1),
    "nn.RMSNorm": ("rms_norm", lambda: nn.RMSNorm(8, eps=1e-6), ((2, 5, 8),), "aten.rms_norm.default", 1),
    "rope": ("rope", Turned, ((2, 3, 5, 8),), "ggml.rope", 1),
    "gqa": ("gqa", lambda: Written(grouped), HEADS, "aten.expand.default", 0),
    "gqa by repeat_interleave": ("gqa", lambda: Written(interleaved), HEADS, "aten.repeat_interleave.self_int", 0),
    "swiglu": ("swiglu", lambda: Written(lambda x, y: y * F.silu(x)), ((4, 6), (4, 6)), "ggml.swiglu", 1),
    "geglu": ("swiglu", lambda: Written(lambda x, y: F.gelu(x) * y), ((4, 6), (4, 6)), "ggml.geglu", 1),
}  # fmt: skip


def lowered(model: Any, arguments: tuple[Any, ...], **named: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about torch
        exported = torch.export.export(model.eval(), arguments)
    return ggml.export.lower(exported, require="ggml", **named)


def counted(program: Any, op: str) -> int:
    return sum(node.op == op for node in program.graph.nodes)


@pytest.mark.parametrize(("name", "make", "shapes", "op", "count"), list(CASES.values()), ids=list(CASES))
def test_with_a_pass_or_without_results_are_equal(
    name: str, make: Any, shapes: Any, op: str, count: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model, arguments = make().eval(), tuple([torch.randn(*shape) for shape in shapes])
    wanted = model(*arguments).detach().numpy()
    others = [one for one in ggml.export.PASSES if one != name]
    with_it, without_it = lowered(model, arguments), lowered(model, arguments, passes=others)
    assert counted(with_it, op) == count
    assert counted(without_it, op) != count or isinstance(model, nn.RMSNorm)
    for program in (
        with_it,
        without_it,
        lowered(model, arguments, passes=()),
        lowered(model, arguments, passes=[name]),
    ):
        np.testing.assert_allclose(program(*arguments).numpy(), wanted, rtol=1e-4, atol=1e-5)
    with_it.save(tmp_path / "model.ggp")
    again = ggml.load_program(tmp_path / "model.ggp")
    np.testing.assert_array_equal(again(*arguments).numpy(), with_it(*arguments).numpy())


def test_batch_norms_are_gone_into_weights() -> None:
    model, x = convolutions(), torch.randn(2, 3, 8, 8)
    program = lowered(model, (x,))
    assert [node.op for node in program.graph.nodes] == [
        "aten.conv2d.default", "aten.relu.default", "aten.conv2d.default", "aten.view.default", "aten.linear.default",
    ]  # fmt: skip
    assert {"0.weight", "1.bias", "3.weight", "3.bias", "6.weight", "6.bias"} == set(program.weights)


def test_a_convolution_that_something_else_reads_keeps_its_batch_norm() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3)

        def forward(self, x: Any) -> Any:
            y = self.conv(x)
            return self.norm(y) * y

    model, x = Both().eval(), torch.randn(2, 2, 9)
    program = lowered(model, (x,))
    assert counted(program, "aten._native_batch_norm_legit_no_training.default") == 1
    np.testing.assert_allclose(program(x).numpy(), model(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_turned_weight_is_stored_once_and_can_have_fewer_bits() -> None:
    model, x = Written(torch.mm, (64, 32)), torch.randn(4, 64)
    program = lowered(model, (x,), quantization=ggml.q8_0)
    assert {name: tuple(one.shape) for name, one in program.weights.items()} == {"weights.0": (32, 64)}
    assert program.weights["weights.0"].dtype is ggml.q8_0
    error = np.abs(program(x).numpy() - model(x).detach().numpy()).max()
    assert 0 < error < 0.5


def test_constants_are_computed_once_and_only_where_they_save_memory() -> None:
    function = lambda x, w: x * (w * 2 + 1) + w.expand(3000, 300).sum(0)  # noqa: E731
    model, x = Written(function, (300,)), torch.randn(2, 300)
    program = lowered(model, (x,))
    assert sorted(program.weights) == ["weights.0", "weights.0.1"]
    assert [node.op for node in program.graph.nodes] == ["aten.mul.Tensor", "aten.add.Tensor"]
    wide = Written(lambda x, w: x + w.expand(300, 300), (300,))
    program = lowered(wide, (torch.randn(300, 300),))
    assert [tuple(one.shape) for one in program.weights.values()] == [(300,)]


def test_names_of_passes_are_checked() -> None:
    model, x = nn.Linear(2, 2), torch.ones(1, 2)
    with pytest.raises(ggml.ArgumentError, match="has no 'rpoe'; did you mean rope"):
        lowered(model, (x,), passes=["rpoe"])
    with pytest.raises(ggml.ArgumentError, match="must be a collection of names, not 'rope'"):
        lowered(model, (x,), passes="rope")


def test_a_decoder_is_fused_whole_and_writes_into_its_cache() -> None:
    torch.manual_seed(0)
    model = Decoder().eval()
    x, positions = torch.randn(1, 3, 32), torch.arange(3)
    program = lowered(model, (x, positions))
    assert counted(program, "aten.rms_norm.default") == counted(program, "ggml.rope") == 2
    assert counted(program, "ggml.swiglu") == 1
    assert counted(program, "aten.expand.default") == 0
    plain = lowered(model, (x, positions), passes=())
    for rows, places in ((x, positions), (torch.randn(1, 3, 32), torch.tensor([3, 4, 5]))):
        wanted = model(rows, places).detach().numpy()
        np.testing.assert_allclose(program(rows, places).numpy(), wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(plain(rows, places).numpy(), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(program.state["keys"].numpy(), model.keys.detach().numpy(), atol=1e-5)


FAMILIES = ("Llama", "Qwen2", "Qwen3", "Mistral", "Gemma", "Gemma2", "Gemma3", "Phi3")


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_language_models_of_transformers(family: str) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 100, "max_position_embeddings": 64, "head_dim": 16, "pad_token_id": 0,
    }  # fmt: skip
    config = getattr(transformers, f"{family}TextConfig" if family == "Gemma3" else f"{family}Config")(**sizes)
    torch.manual_seed(0)
    causal = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    for one in causal.parameters():
        if one.ndim == 1:
            nn.init.normal_(one, 0.5, 0.1)
    model = Written(lambda tokens: causal(tokens, use_cache=False).logits)
    tokens = torch.randint(0, 100, (2, 7))
    program = lowered(model, (tokens,))
    norms = {"Llama": 5, "Qwen2": 5, "Qwen3": 9, "Mistral": 5, "Gemma": 5, "Gemma2": 9, "Gemma3": 13, "Phi3": 5}
    assert counted(program, "aten.rms_norm.default") == norms[family]
    assert counted(program, "aten.rsqrt.default") == 0
    assert counted(program, "ggml.rope") == 4
    assert counted(program, "ggml.swiglu") == (0 if family.startswith("Gemma") else 2)
    assert counted(program, "aten.expand.default") <= (5 if family == "Gemma2" else 1)  # written out: scores are capped
    wanted = model(tokens).detach().numpy()
    for one in (program, lowered(model, (tokens,), passes=())):
        np.testing.assert_allclose(one(tokens).numpy(), wanted, rtol=1e-4, atol=1e-4)


def test_what_is_computed_of_another_files_weights_is_saved(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(64, 64, bias=False), RMSNorm(64, True)).eval(), torch.randn(2, 64)
    ggml.save({name: ggml.from_dlpack(one.detach()) for name, one in model.named_parameters()}, tmp_path / "w.gguf")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about torch
        exported = torch.export.export(model, (x,))
    program = ggml.export.lower(exported, weights=tmp_path / "w.gguf")
    program.save(tmp_path / "model.ggp", embed=False)
    again = ggml.load_program(tmp_path / "model.ggp")
    np.testing.assert_allclose(again(x).numpy(), model(x).detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "norm", "shape"),
    [(nn.Conv1d(3, 4, 1), nn.BatchNorm1d(4), (3, 4)), (nn.Conv2d(3, 4, 1), nn.BatchNorm1d(4), (3, 4, 5))],
    ids=["1d", "2d"],
)
def test_a_convolution_without_a_batch_is_not_folded(layer: nn.Module, norm: nn.Module, shape: tuple[int, ...]) -> None:
    """Its channels are the first axis, and those of the norm another one."""
    torch.manual_seed(0)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2.0)
    model, x = nn.Sequential(layer, norm).eval(), torch.randn(shape)
    program = ggml.export.lower(torch.export.export(model, (x,)), require="ggml")
    with torch.no_grad():
        assert torch.allclose(torch.from_dlpack(program(x)), model(x), atol=1e-5)


def test_zeros_of_both_signs_are_two_values() -> None:
    function = Written(
        lambda x: torch.copysign(x, torch.full((3,), -0.0)) + 2 * torch.copysign(x, torch.full((3,), 0.0))
    )
    x = torch.ones(3)
    program = ggml.export.lower(torch.export.export(function, (x,)))
    assert torch.from_dlpack(program(x)).tolist() == function(x).tolist() == [1.0, 1.0, 1.0]


def test_a_norm_of_one_number_is_lowered() -> None:
    function = Written(lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))
    x = torch.tensor(2.0)
    program = ggml.export.lower(torch.export.export(function, (x,)))
    assert abs(torch.from_dlpack(program(x)).item() - 1.0) < 1e-5

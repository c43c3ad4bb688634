"""Models lowered and called: equal to PyTorch at every shape, and refused with the reason where they cannot be."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

from torch import nn  # noqa: E402
from torch.export import Dim  # noqa: E402

import ggml  # noqa: E402
from ggml import nn as ours  # noqa: E402

BATCH = Dim("batch", min=1, max=64)


def export(model: Any, *arguments: Any, shapes: Any = None, **named: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about torch
        return torch.export.export(model.eval(), arguments, named, dynamic_shapes=shapes)


def close(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), rtol=1e-4, atol=1e-5)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.MultiheadAttention(16, 4, batch_first=True)
        self.norm = nn.LayerNorm(16)

    def forward(self, x: Any) -> Any:
        return self.norm(x + self.inside(x, x, x, need_weights=False)[0])


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Dropout(), nn.Linear(8, 3))


def convnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("make", "shape"), [(mlp, (6,)), (convnet, (3, 8, 8)), (Attention, (7, 16))], ids=["mlp", "convnet", "attention"]
)
def test_equals_pytorch_at_every_batch(make: Any, shape: tuple[int, ...]) -> None:
    model = make()
    program = ggml.export.lower(export(model, torch.randn(2, *shape), shapes=({0: BATCH},)))
    for batch in (2, 5, 1, 5):
        x = torch.randn(batch, *shape)
        close(program(x), model(x))
    assert program.num_recordings == 3  # a shape that was there is not recorded again


def test_kept_operations_are_not_decomposed() -> None:
    table = str(ggml.export.lower(export(Attention(), torch.randn(2, 7, 16))).coverage())
    assert "aten.scaled_dot_product_attention.default" in table
    assert "aten.layer_norm.default" in table
    assert "aten.linear.default" in table


def test_inputs_of_three_libraries() -> None:
    model = mlp()
    program = ggml.export.lower(export(model, torch.randn(2, 6)))
    x = torch.randn(2, 6)
    for given in (x, x.numpy(), ggml.from_dlpack(x), x.clone().requires_grad_()):
        close(program(given), model(x))


def test_weights_are_the_programs_own() -> None:
    model = mlp()
    program = ggml.export.lower(export(model, torch.ones(2, 6)))
    before = program(torch.ones(2, 6)).numpy()
    with torch.no_grad():
        model[0].weight.zero_()
    np.testing.assert_array_equal(program(torch.ones(2, 6)).numpy(), before)


def test_forms_of_arguments_and_results() -> None:
    class Forms(nn.Module):
        def forward(self, pair: Any, *, named: Any, scale: float) -> Any:
            return {"sum": pair[0] + named["x"] * scale, "list": [pair[1], None, 3]}

    pair, named = (torch.ones(2), torch.zeros(3)), {"x": torch.full((2,), 2.0)}
    program = ggml.export.lower(export(Forms(), pair, named=named, scale=0.5))
    result = program(pair, named=named, scale=0.5)
    assert result["sum"].tolist() == [2.0, 2.0]
    assert result["list"][0].tolist() == [0.0] * 3
    assert result["list"][1:] == [None, 3]
    with pytest.raises(ggml.ArgumentError, match=r"must be 0\.5, for which the model was exported"):
        program(pair, named=named, scale=0.25)
    with pytest.raises(ggml.ArgumentError, match="a dict with the keys"):
        program(pair, named={"y": pair[0]}, scale=0.5)
    with pytest.raises(ggml.ArgumentError, match="must be a tuple of 2"):
        program(pair[:1], named=named, scale=0.5)


def test_shapes_and_dtypes_that_were_not_exported() -> None:
    program = ggml.export.lower(export(mlp(), torch.randn(2, 6), shapes=({0: BATCH},)))
    with pytest.raises(ggml.ShapeMismatchError, match=r"input of the shape \(s\d+, 6\)"):
        program(torch.randn(2, 7))
    with pytest.raises(ggml.ShapeMismatchError, match=r"input\.shape\[0\] within \[1, 64\]"):
        program(torch.randn(65, 6))
    with pytest.raises(ggml.DTypeError, match=r"input of ggml\.float32"):
        program(torch.ones(2, 6, dtype=torch.int64))
    with pytest.raises(ggml.DTypeError, match="a tensor or an array as input"):
        program([1.0])


def test_extents_that_are_sums_and_products() -> None:
    class Doubled(nn.Module):
        def forward(self, x: Any, y: Any) -> Any:
            half = x.shape[0] // 2
            return x.reshape(half, 2, -1).sum(1) * y.shape[0] + y[:half]

    half = Dim("half", min=1, max=20)
    exported = export(Doubled(), torch.randn(8, 3), torch.randn(5, 3), shapes=({0: 2 * half}, {0: half + 1}))
    program = ggml.export.lower(exported)
    for count in (4, 7):
        x, y = torch.randn(2 * count, 3), torch.randn(count + 1, 3)
        close(program(x, y), Doubled()(x, y))
    with pytest.raises(ggml.ShapeMismatchError):
        program(torch.randn(8, 3), torch.randn(6, 3))


def test_buffers_that_calls_change() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("total", torch.zeros(3))

        def forward(self, x: Any) -> Any:
            self.total.add_(x)
            return self.total * 2

    program = ggml.export.lower(export(Counter(), torch.ones(3)))
    assert [program(torch.ones(3)).tolist() for _ in range(3)] == [[2.0] * 3, [4.0] * 3, [6.0] * 3]
    assert program.num_recordings == 1
    program.reset()
    assert program(torch.ones(3)).tolist() == [2.0] * 3


def test_what_is_missing_is_listed() -> None:
    class Picky(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.special.airy_ai(x) + x.relu()

    exported = export(Picky(), torch.ones(3))
    with pytest.raises(ggml.UnsupportedOpError, match=r"aten\.special_airy_ai\.default \(1\)"):
        ggml.export.lower(exported, require="ggml")
    with pytest.raises(ggml.DTypeError, match="'ggml' or None as require"):
        ggml.export.lower(exported, require="torch")


def test_what_no_program_has() -> None:
    class Writes(nn.Module):
        def forward(self, x: Any) -> Any:
            x.add_(1)
            return x * 2

    with pytest.raises(ggml.UnsupportedOpError, match="writes into its input"):
        ggml.export.lower(export(Writes(), torch.ones(3)))
    with pytest.raises(ggml.UnsupportedOpError, match=r"no dtype for torch\.complex64"):
        ggml.export.lower(export(nn.Identity(), torch.ones(3, dtype=torch.complex64)))
    with pytest.raises(ggml.DTypeError, match=r"what torch\.export\.export returned"):
        ggml.export.lower(ours.Linear(2, 2))


def test_a_rule_that_does_not_take_the_arguments_is_decomposed() -> None:
    class Scaled(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.add(x, 2, alpha=3) - torch.rsub(x, 1, alpha=2)

    x = torch.randn(4)
    close(ggml.export.lower(export(Scaled(), x))(x), Scaled()(x))

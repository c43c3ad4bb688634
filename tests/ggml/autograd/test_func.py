"""``ggml.func`` against ``torch.func``, and checkpoints against the same function without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ggml
from ggml.utils.checkpoint import checkpoint
from tests.ggml.both import names_of, torch

X = [[0.5, -1.0], [2.0, 3.0]]

TEXTS = [
    "r = torch.func.grad(lambda x: (x ** 3).sum())(x)",
    "r = torch.func.grad(lambda x, y: (x * y).sum(), argnums=1)(x, x + 1)",
    "r = torch.func.grad(lambda x, y: (x * y * y).sum(), argnums=(0, 1))(x, x + 1)",
    "r = torch.func.grad_and_value(lambda x: (x.sin()).sum())(x)",
    "r = torch.func.grad(lambda x: ((x ** 2).sum(), x * 2), has_aux=True)(x)",
    "r = torch.func.grad(lambda x: torch.func.grad(lambda y: (y ** 3).sum())(x).sum())(x)",
    "y, back = torch.func.vjp(lambda x: x.exp() @ x, x); r = [y, *back(torch.ones(2, 2)), *back(x)]",
    "r = torch.func.grad(lambda x: (x.detach() * 2).sum())(x)",
]


def _run(library: Any, text: str) -> Any:
    names = {**names_of(library), "x": library.tensor(X)}
    exec(text, names)
    return names["r"]


def _flat(value: Any) -> list[Any]:
    return [one for part in value for one in _flat(part)] if isinstance(value, (tuple, list)) else [value]


@pytest.mark.parametrize("text", TEXTS)
def test_same_as_torch(text: str) -> None:
    for one, other in zip(_flat(_run(ggml, text)), _flat(_run(torch, text)), strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), rtol=1e-5)


def test_value_and_grad_gives_the_value_first() -> None:
    value, gradient = ggml.func.value_and_grad(lambda x: (x * x).sum())(ggml.tensor(X))
    assert value.item() == pytest.approx(14.25)
    np.testing.assert_allclose(gradient.numpy(), 2 * np.array(X))


def test_a_checkpoint_changes_no_gradient() -> None:
    net = ggml.nn.Sequential(ggml.nn.Linear(2, 8), ggml.nn.Tanh(), ggml.nn.Dropout(0.5), ggml.nn.Linear(8, 2))
    found = []
    for through in (lambda x: checkpoint(net, x), net):
        ggml.manual_seed(3)
        net.zero_grad()
        x = ggml.tensor(X, requires_grad=True)
        (through(x) ** 2).sum().backward()
        found.append([x.grad.numpy(), *[param.grad.numpy() for param in net.parameters()]])  # type: ignore[union-attr]
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)

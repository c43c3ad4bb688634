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
    "r = torch.func.jacrev(lambda x: x.sin() @ x)(x)",
    "r = torch.func.jacrev(lambda x, y: (x * y).sum(0), argnums=(0, 1))(x, x + 1)",
    "r = torch.func.jacrev(lambda x: (x ** 2).sum())(x)",
    "r = torch.func.hessian(lambda x: (x[0] ** 3 * x[1]).sum())(x)",
    "r = torch.func.grad(lambda x: torch.func.jacrev(lambda y: y ** 3)(x).sum())(x)",
]


def _run(library: Any, text: str) -> Any:
    names = {**names_of(library), "x": library.tensor(X)}
    exec(text, names)
    return names["r"]


def _flat(value: Any) -> list[Any]:
    return [one for part in value for one in _flat(part)] if isinstance(value, (tuple, list)) else [value]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # what PyTorch's hessian says of itself
def test_same_as_torch(text: str) -> None:
    for one, other in zip(_flat(_run(ggml, text)), _flat(_run(torch, text)), strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), rtol=1e-5)


def test_value_and_grad_gives_the_value_first() -> None:
    value, gradient = ggml.func.value_and_grad(lambda x: (x * x).sum())(ggml.tensor(X))
    assert value.item() == pytest.approx(14.25)
    np.testing.assert_allclose(gradient.numpy(), 2 * np.array(X))


def _called(library: Any) -> list[Any]:
    """A module with other parameters, by themselves and through their gradients."""
    net = library.nn.Sequential(library.nn.Linear(2, 3), library.nn.Tanh(), library.nn.Linear(3, 1))
    net[2].weight = library.nn.Parameter(net[2].weight.detach() * 0 + 0.5)
    own = {
        name: library.ones(one.shape) * 0.1 * (place + 1) for place, (name, one) in enumerate(net.named_parameters())
    }
    some = {name: one for name, one in own.items() if name != "2.weight"}
    x = library.tensor(X)
    gradients = (
        library.func.grad(lambda given: library.func.functional_call(net, given, (x,)).sum())(own)
        if library is torch
        else None
    )
    weight = own["0.weight"].requires_grad_()
    library.func.functional_call(net, own, (x,)).sum().backward()
    if gradients is not None:
        np.testing.assert_allclose(weight.grad.numpy(), gradients["0.weight"].numpy(), rtol=1e-5)
    found = [weight.grad, library.func.functional_call(net, [some, {}], x), library.func.functional_call(net, own, x)]
    assert net[0].weight.grad is None and net[2].weight.detach().mean().item() == 0.5
    return [one.detach().numpy() for one in found]


def test_a_module_is_called_with_other_parameters_as_in_torch() -> None:
    for one, other in zip(_called(ggml), _called(torch), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_parameters_that_a_module_lacks_or_that_are_not_given() -> None:
    net = ggml.nn.Linear(2, 2)
    with pytest.raises(ggml.StateDictError, match="wieght"):
        ggml.func.functional_call(net, {"wieght": ggml.ones(2, 2)}, ggml.ones(2))
    with pytest.raises(ggml.StateDictError, match="bias"):
        ggml.func.functional_call(net, {"weight": ggml.ones(2, 2)}, ggml.ones(2), strict=True)


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

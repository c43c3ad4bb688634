"""Operations of one's own: called, compiled, differentiated, and in place of PyTorch's of the same name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import ggml
from ggml.library import custom_op
from ggml.programs.rules import RULES
from tests.ggml.both import torch

X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def _names_are_free_again() -> Iterator[None]:
    before = dict(RULES)
    yield
    for name in RULES.keys() - before:
        del RULES[name]


def _scaled_tanh(x: Any, factor: float = 2.0) -> Any:
    return (x * factor).tanh()


def test_it_is_called_compiled_and_differentiated() -> None:
    made: Any = custom_op("tests::scaled_tanh", _scaled_tanh, mutates_args=())
    assert repr(made) == "<CustomOp(tests::scaled_tanh)>" and made.__name__ == "_scaled_tanh"
    x = ggml.tensor(X, requires_grad=True)
    np.testing.assert_allclose(made(x, factor=0.5).detach().numpy(), np.tanh(X * 0.5), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ggml.compile(made)(x.detach()).numpy(), np.tanh(X * 2), rtol=1e-5, atol=1e-6)
    made(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * (1 - np.tanh(X * 2) ** 2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("library", [ggml, torch], ids=["ggml", "torch"])
def test_a_derivative_of_its_own_is_used_as_in_torch(library: Any) -> None:
    name = f"tests::clipped_{library.__name__}"

    def clipped(x: torch.Tensor, bound: float = 1.0) -> torch.Tensor:
        return x.clamp(-bound, bound)

    if library is torch:
        clipped.__annotations__ = {"x": torch.Tensor, "bound": float, "return": torch.Tensor}
    made = library.library.custom_op(name, clipped, mutates_args=())
    seen = []

    def setup(ctx: Any, inputs: Any, output: Any) -> None:
        seen.append(len(inputs))
        ctx.bound = inputs[1]
        ctx.save_for_backward(inputs[0])

    def backward(ctx: Any, gradient: Any) -> Any:
        (x,) = ctx.saved_tensors
        return gradient * 7 * (x.abs() <= ctx.bound), None

    made.register_autograd(backward, setup_context=setup)
    x = library.tensor(X, requires_grad=True)
    made(x, 0.5).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 7.0 * (np.abs(X) <= 0.5))
    assert seen == [2]
    if library is ggml:
        made(x).sum().backward()  # the default of an argument has a place, too
        with pytest.raises(ggml.ArgumentError, match="was called before"):
            made.register_autograd(backward)


def test_a_model_of_torch_is_lowered_to_it() -> None:
    def theirs(x: Any, factor: float) -> Any:
        return torch.from_numpy(np.tanh(x.numpy() * factor))  # which nothing could decompose

    theirs.__annotations__ = {"x": torch.Tensor, "factor": float, "return": torch.Tensor}
    operation = torch.library.custom_op("tests::lowered_tanh", theirs, mutates_args=())
    operation.register_fake(lambda x, factor: torch.empty_like(x))

    class Model(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return operation(x + 1, 0.25) * 3

    exported = torch.export.export(Model(), (torch.from_numpy(X),))
    with pytest.raises(ggml.UnsupportedOpError, match=r"tests\.lowered_tanh"):
        ggml.export.lower(exported, require="ggml")
    custom_op("tests::lowered_tanh")(_scaled_tanh)  # type: ignore[operator]
    found = ggml.export.lower(exported, require="ggml")(ggml.tensor(X))
    found = found[0] if isinstance(found, tuple) else found
    np.testing.assert_allclose(found.numpy(), np.tanh((X + 1) * 0.25) * 3, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: custom_op("tanh", _scaled_tanh), "namespace::name"),
        (lambda: custom_op("aten::tanh", _scaled_tanh), "not PyTorch's"),
        (lambda: custom_op("tests::a", lambda *x: x), "by position"),
        (lambda: custom_op("tests::a", _scaled_tanh, mutates_args=("x",)), "mutates_args"),
        (lambda: [custom_op("tests::b", _scaled_tanh) for _ in range(2)], "there already"),
    ],
)
def test_what_cannot_be_one_is_refused(call: Callable[[], Any], match: str) -> None:
    with pytest.raises(ggml.ArgumentError, match=match):
        call()


def test_results_are_tensors() -> None:
    made: Any = custom_op("tests::number", lambda x: 3)
    with pytest.raises(ggml.DTypeError, match="returns tensors"):
        made(ggml.ones(1))
    with pytest.raises(ggml.DTypeError, match="a function"):
        custom_op("tests::c", 3)  # type: ignore[call-overload]

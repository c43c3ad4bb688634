"""What `backward` and `grad` are given, as PyTorch's are, or one clear error."""

from __future__ import annotations

from typing import Any

import pytest

import ggml
from ggml import nn


def test_parameters_are_given_as_a_model_lists_them() -> None:
    model = nn.Linear(3, 2)
    loss = model(ggml.ones(4, 3)).sum()
    weight, bias = ggml.autograd.grad(loss, model.parameters())
    assert (tuple(weight.shape), bias.tolist()) == ((2, 3), [4.0, 4.0])


@pytest.mark.parametrize("wrong", [{"inputs": True}, {"retain_graph": "no"}, {"create_graph": 1}, {"gradient": 3}])
def test_one_clear_error(wrong: dict[str, Any]) -> None:
    x = ggml.ones(2, requires_grad=True)
    with pytest.raises(ggml.GgmlError, match="backward"):
        (x * x).sum().backward(**wrong)

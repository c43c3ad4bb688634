"""Adam's step by one kernel: what the operations that it stands for give, but for roundings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ggml
from ggml import optim
from ggml.optim import adam

SHAPES = [(), (1,), (15,), (16,), (17,), (3, 5, 7), (2000, 33), (0,)]


def after_steps(kind: Any, settings: dict[str, Any], num_steps: int = 5) -> list[Any]:
    """Parameters and states behind so many steps."""
    ggml.manual_seed(3)
    params = [ggml.randn(*shape).requires_grad_() for shape in SHAPES]
    optimizer = kind(params, lr=0.03, **settings)
    for _ in range(num_steps):
        for param in params:
            param.grad = ggml.randn(*param.shape) * 10
        optimizer.step()
    found = [param.detach().numpy().copy() for param in params]
    for param in params:
        state = optimizer.state[param]
        found += [state[name].numpy().copy() for name in ("exp_avg", "exp_avg_sq")]
    return found


@pytest.mark.parametrize("kind", [optim.Adam, optim.AdamW])
@pytest.mark.parametrize("settings", [{}, {"weight_decay": 0.1, "betas": (0.7, 0.9), "eps": 1e-3}, {"maximize": True}])
def test_one_kernel_does_what_many_operations_do(
    kind: Any, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_kernel = after_steps(kind, settings)
    monkeypatch.setattr(adam, "_has_kernel", lambda given: False)
    for found, wanted in zip(by_kernel, after_steps(kind, settings), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_parameters_in_half_precision_are_stepped_by_operations() -> None:
    param = ggml.ones(20).to(ggml.bfloat16).requires_grad_()
    optimizer = optim.AdamW([param], lr=0.1)
    param.grad = ggml.ones(20).to(ggml.bfloat16)
    optimizer.step()
    assert param.dtype is ggml.bfloat16
    assert float(param.detach().float().max()) < 1

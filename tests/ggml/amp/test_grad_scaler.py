"""Loss scaling beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ggml
from ggml.amp import GradScaler
from tests.ggml.both import torch

FINITE = [True, True, False, True, True, True, False, False, True, True, True, True]


def _run(library: Any, clips: bool) -> list[Any]:
    params = [library.nn.Parameter(library.ones(3)), library.nn.Parameter(library.ones(2))]
    optimizers = [library.optim.SGD(params[:1], lr=0.1), library.optim.Adam(params[1:], lr=0.1)]
    scaler = library.amp.GradScaler("cpu", init_scale=8.0, growth_factor=3.0, backoff_factor=0.25, growth_interval=2)
    seen: list[Any] = []
    for step, is_finite in enumerate(FINITE):
        for place, optimizer in enumerate(optimizers):
            optimizer.zero_grad()
            wrong = float("inf") if not is_finite and place == step % 2 else 1.0
            loss = (params[place] * params[place]).sum() * wrong
            scaler.scale(loss).backward()
            if clips:
                scaler.unscale_(optimizer)
                library.nn.utils.clip_grad_value_(params[place : place + 1], 0.5)
            scaler.step(optimizer)
        scaler.update()
        seen.append([scaler.get_scale(), *scaler.state_dict().values()])
        seen += [param.detach().numpy().copy() for param in params]
    assert list(scaler.state_dict()) == list(torch.amp.GradScaler("cpu").state_dict())
    return seen


@pytest.mark.parametrize("clips", [False, True])
def test_each_step_equals_torch(clips: bool) -> None:
    for found, wanted in zip(_run(ggml, clips), _run(torch, clips), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)


def _one() -> tuple[Any, Any, Any]:
    param = ggml.nn.Parameter(ggml.ones(3))
    return param, ggml.optim.SGD([param], lr=0.5), GradScaler("cpu", init_scale=4.0)


def test_a_step_with_inf_is_skipped_and_the_scale_set() -> None:
    param, optimizer, scaler = _one()
    scaler.scale((param * float("nan")).sum()).backward()
    assert scaler.step(optimizer) is None
    scaler.update()
    assert param.tolist() == [1, 1, 1] and scaler.get_scale() == 2.0
    scaler.update(ggml.tensor(16.0))
    assert scaler.get_scale() == 16.0
    parts = scaler.scale([param.sum(), (param.sum(),)])
    assert parts[0].item() == parts[1][0].item() == 48.0
    other = GradScaler("cpu", growth_interval=3)
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()
    limit = GradScaler("cpu", init_scale=3e38, growth_interval=1)
    param.grad = ggml.zeros(3)
    limit.step(optimizer)
    limit.update()
    assert limit.get_scale() == float(np.float32(3e38))


def test_when_it_is_not_enabled_it_does_nothing() -> None:
    param, optimizer, _ = _one()
    scaler = GradScaler("cpu", enabled=False)
    loss = param.sum()
    assert scaler.scale(loss) is loss and scaler.get_scale() == 1.0 and not scaler.is_enabled()
    loss.backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert param.tolist() == [0.5] * 3 and scaler.state_dict() == {}
    scaler.load_state_dict({})


def test_calls_in_a_wrong_order_are_refused() -> None:
    param, optimizer, scaler = _one()
    with pytest.raises(ggml.GradientError, match="no parameter"):
        scaler.step(optimizer)
    with pytest.raises(ggml.GradientError, match="call step"):
        scaler.update()
    scaler.scale(param.sum()).backward()
    scaler.unscale_(optimizer)
    with pytest.raises(ggml.GradientError, match="they were divided"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(ggml.GradientError, match="since the last update"):
        scaler.step(optimizer)
    with pytest.raises(ggml.GradientError, match="step"):
        scaler.unscale_(optimizer)
    scaler.update()
    with pytest.raises(ggml.ArgumentError, match="closure"):
        scaler.step(optimizer, closure=lambda: None)
    half = ggml.nn.Parameter(ggml.ones(2, dtype=ggml.float16))
    half.grad = ggml.ones(2, dtype=ggml.float16)
    with pytest.raises(ggml.GradientError, match="float16"):
        scaler.step(ggml.optim.SGD([half]))
    for wrong in ({"init_scale": 0.0}, {"growth_factor": 1.0}, {"backoff_factor": 1.0}, {"growth_interval": 0}):
        with pytest.raises(ggml.ArgumentError):
            GradScaler("cpu", **wrong)
    with pytest.raises(ggml.StateDictError, match="scale"):
        scaler.load_state_dict({})
    with pytest.raises(ggml.DTypeError, match="an optimizer"):
        scaler.step(param)
    with pytest.raises(ggml.DTypeError, match="a tensor"):
        scaler.scale(3.0)

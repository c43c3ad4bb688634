"""Optimisers and schedules, step by step beside PyTorch's, and runs of training with PyTorch's curve."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import ggml
from tests.ggml.both import torch

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "amsgrad": True, "weight_decay": 1e-2, "betas": (0.8, 0.9)}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "momentum": 0.5, "centered": True, "weight_decay": 1e-2}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1}),
    ("Adadelta", {"lr": 1.0, "weight_decay": 1e-2}),
    ("NAdam", {"lr": 0.01}),
    ("NAdam", {"lr": 0.01, "decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.01}),
    ("Adamax", {"lr": 0.01, "weight_decay": 1e-2}),
]


def _params(library: Any) -> list[Any]:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in ((3, 4), (4,))]
    return [library.nn.Parameter(library.tensor(one)) for one in arrays]


def _steps(library: Any, name: str, settings: dict[str, Any], count: int) -> list[Any]:
    params = _params(library)
    optimizer = getattr(library.optim, name)([{"params": params[:1]}, {"params": params[1:], "lr": 0.05}], **settings)
    rng, seen = np.random.default_rng(1), []
    for _ in range(count):
        optimizer.zero_grad()
        for param in params:
            param.grad = library.tensor(rng.standard_normal(tuple(param.shape)).astype(np.float32))
        optimizer.step()
        seen.append([param.detach().numpy().copy() for param in params])
    return seen


@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS, ids=lambda one: str(one))
def test_each_step_equals_torch(name: str, settings: dict[str, Any]) -> None:
    for found, wanted in zip(_steps(ggml, name, settings, 12), _steps(torch, name, settings, 12), strict=True):
        for mine, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6)


def test_lion_goes_by_the_sign() -> None:
    param = ggml.nn.Parameter(ggml.tensor([1.0, -2.0]))
    param.grad = ggml.tensor([0.5, -3.0])
    ggml.optim.Lion([param], lr=0.1).step()
    np.testing.assert_allclose(param.detach().numpy(), [0.9, -1.9], rtol=1e-6)


def test_state_goes_on_where_it_was() -> None:
    def fresh() -> tuple[list[Any], Any]:
        params = _params(ggml)
        return params, ggml.optim.AdamW(params, lr=0.01)

    def go(params: list[Any], optimizer: Any, seed: int) -> None:
        rng = np.random.default_rng(seed)
        for param in params:
            param.grad = ggml.tensor(rng.standard_normal(tuple(param.shape)).astype(np.float32))
        optimizer.step()

    params, optimizer = fresh()
    go(params, optimizer, 1)
    again, other = fresh()
    other.load_state_dict(optimizer.state_dict())
    with ggml.no_grad():
        for one, source in zip(again, params, strict=True):
            one.copy_(source)
    go(params, optimizer, 2)
    go(again, other, 2)
    for one, source in zip(again, params, strict=True):
        np.testing.assert_array_equal(one.detach().numpy(), source.detach().numpy())
    with pytest.raises(ggml.StateDictError, match="groups"):
        ggml.optim.SGD(params[:1]).load_state_dict(optimizer.state_dict())


def test_wrong_settings_are_refused() -> None:
    params = _params(ggml)
    for wrong in ({"lr": -1.0}, {"momentum": -0.1}, {"nesterov": True}):
        with pytest.raises(ggml.ArgumentError):
            ggml.optim.SGD(params, **wrong)
    with pytest.raises(ggml.ArgumentError, match="twice"):
        ggml.optim.SGD([params[0], params[0]])
    with pytest.raises(ggml.ArgumentError, match="no parameter"):
        ggml.optim.SGD([])
    with pytest.raises(ggml.GradientError, match="no leaf"):
        ggml.optim.SGD([params[0] * 2])


SCHEDULES = {
    "StepLR": lambda s, o: s.StepLR(o, 3, 0.5),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [2, 5, 5, 9], 0.3),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.9),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.5, 4),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.1, 0.8, 6),
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda step: 1 / (1 + step)),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 5, 1e-3),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2, 1e-3),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.5, 20),
    "OneCycleLR of three phases": lambda s, o: s.OneCycleLR(o, 0.5, 20, three_phase=True, anneal_strategy="linear"),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda step: 0.9 + 0.01 * step),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 12, 1.7),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.01, 0.3, 3, 5),
    "CyclicLR of halves": lambda s, o: s.CyclicLR(o, 0.01, 0.3, 4, mode="triangular2", cycle_momentum=False),
    "CyclicLR by steps": lambda s, o: s.CyclicLR(o, [0.01], [0.3], 4, mode="exp_range", gamma=0.9),
    "CyclicLR of a function": lambda s, o: s.CyclicLR(o, 0.01, 0.3, 4, scale_fn=lambda at: 1 / (1 + at)),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 4), s.ExponentialLR(o, 0.9)]),
    "SequentialLR": lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 4), s.ExponentialLR(o, 0.8)], [5]),
}


def _rates(library: Any, name: str) -> list[float]:
    optimizer = library.optim.SGD(_params(library), lr=0.2, momentum=0.9)
    schedule = SCHEDULES[name](library.optim.lr_scheduler, optimizer)
    seen = [optimizer.param_groups[0]["lr"]]
    for _ in range(19):
        optimizer.step()
        schedule.step()
        seen += [optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"], schedule.get_last_lr()[0]]
    return seen


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.filterwarnings("ignore")
def test_rates_equal_torch(name: str) -> None:
    assert _rates(ggml, name) == pytest.approx(_rates(torch, name), rel=1e-6, abs=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_chained_schedules_go_on_where_they_were() -> None:
    schedules = ggml.optim.lr_scheduler
    optimizer = ggml.optim.SGD(_params(ggml), lr=0.2)
    chained = SCHEDULES["ChainedScheduler"](schedules, optimizer)
    for _ in range(3):
        chained.step()
    other = SCHEDULES["ChainedScheduler"](schedules, ggml.optim.SGD(_params(ggml), lr=0.2))
    other.load_state_dict(chained.state_dict())
    other.optimizer.load_state_dict(optimizer.state_dict())
    for _ in range(3):
        chained.step()
        other.step()
    assert other.get_last_lr() == chained.get_last_lr()
    with pytest.raises(ggml.GgmlError, match="goes by a metric"):
        schedules.ChainedScheduler([schedules.ReduceLROnPlateau(optimizer)])
    with pytest.raises(ggml.GgmlError, match="mode"):
        schedules.CyclicLR(optimizer, 0.1, 0.2, mode="square")
    with pytest.raises(ggml.GgmlError, match="2 numbers for 1 groups"):
        schedules.CyclicLR(optimizer, [0.1, 0.1], 0.2)


@pytest.mark.parametrize("settings", [{}, {"mode": "max", "threshold_mode": "abs"}, {"cooldown": 2, "min_lr": 0.01}])
def test_plateau_equals_torch(settings: dict[str, Any]) -> None:
    values = [1.0, 0.9, 0.95, 0.93, 0.94, 0.96, 0.5, 0.51, 0.52, 0.53, 0.54, 0.55, 0.56, 0.57, 0.58]

    def rates(library: Any) -> list[float]:
        optimizer = library.optim.SGD(_params(library), lr=0.2)
        schedule = library.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2, **settings)
        seen = []
        for value in values:
            schedule.step(value)
            seen.append(optimizer.param_groups[0]["lr"])
        return seen

    assert rates(ggml) == pytest.approx(rates(torch), rel=1e-9)


def test_a_schedule_goes_on_where_it_was() -> None:
    optimizer = ggml.optim.SGD(_params(ggml), lr=0.2)
    schedule = ggml.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
    schedule.step()
    other = ggml.optim.lr_scheduler.CosineAnnealingLR(optimizer, 7)
    other.load_state_dict(schedule.state_dict())
    assert (other.T_max, other.last_epoch) == (5, 1)


def test_norms_and_vectors_of_parameters_equal_torch() -> None:
    found = []
    for library in (ggml, torch):
        params, utils = _params(library), library.nn.utils
        for param in params:
            param.grad = param.detach() * 3
        total = utils.get_total_norm([param.grad for param in params])
        utils.clip_grads_with_norm_(params, 0.7, total)
        vector = utils.parameters_to_vector(params)
        vector.square().sum().backward()
        found.append([float(total), vector.detach().numpy(), *[param.grad.numpy().copy() for param in params]])
        utils.vector_to_parameters(vector.detach() * 2, params)
        found[-1] += [param.detach().numpy() for param in params]
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    with pytest.raises(ggml.ShapeMismatchError, match="vector_to_parameters"):
        ggml.nn.utils.vector_to_parameters(ggml.ones(3), _params(ggml))


@pytest.mark.parametrize("norm_type", [1.0, 2.0, math.inf])
def test_clipping_equals_torch(norm_type: float) -> None:
    found = []
    for library in (ggml, torch):
        params, rng = _params(library), np.random.default_rng(2)
        for param in params:
            param.grad = library.tensor(rng.standard_normal(tuple(param.shape)).astype(np.float32) * 5)
        total = library.nn.utils.clip_grad_norm_(params, 1.5, norm_type)
        found.append([float(total), *[param.grad.numpy().copy() for param in params]])
        library.nn.utils.clip_grad_value_(params, 0.2)
        found[-1] += [param.grad.numpy().copy() for param in params]
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)

"""Gradients over the root of what their squares were: RMSprop, Adagrad, Adadelta; and Lion, which takes their sign."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ggml.ops.create.factories import full_like
from ggml.optim.optimizer import Group, Optimizer, State, checked_range, counted, decayed, kept
from ggml.tensors.tensor import Tensor

__all__ = ["Adadelta", "Adagrad", "Lion", "RMSprop"]


class RMSprop(Optimizer):
    """The gradient over the root of the running mean of its square; ``centered`` takes the variance."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
        **ignored: Any,
    ) -> None:
        checked_range("RMSprop", lr=(lr, math.inf), eps=(eps, math.inf), momentum=(momentum, math.inf),
                      alpha=(alpha, math.inf), weight_decay=(weight_decay, math.inf))  # fmt: skip
        super().__init__(params, {"lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
                                  "weight_decay": weight_decay, "maximize": maximize, **ignored})  # fmt: skip

    def rates(self, state: State, group: Group) -> tuple[float, ...]:
        counted(state)
        return (group["lr"],)

    def update(self, param: Tensor, gradient: Tensor, state: State, group: Group, rates: Sequence[Tensor]) -> Tensor:
        gradient, alpha = decayed(param, gradient, group), group["alpha"]
        square = state["square_avg"] = kept(state, "square_avg", gradient) * alpha + gradient * gradient * (1 - alpha)
        if group["centered"]:
            mean = kept(state, "grad_avg", gradient)
            mean = state["grad_avg"] = mean + (gradient - mean) * (1 - alpha)
            square = square - mean * mean
        step = gradient / (square.sqrt() + group["eps"])
        if group["momentum"] > 0:
            step = state["momentum_buffer"] = kept(state, "momentum_buffer", gradient) * group["momentum"] + step
        new: Tensor = param - step * rates[0]
        return new


class Adagrad(Optimizer):
    """The gradient over the root of the sum of all its squares."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        **ignored: Any,
    ) -> None:
        checked_range("Adagrad", lr=(lr, math.inf), lr_decay=(lr_decay, math.inf), eps=(eps, math.inf),
                      weight_decay=(weight_decay, math.inf))  # fmt: skip
        super().__init__(params, {"lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
                                  "initial_accumulator_value": initial_accumulator_value, "maximize": maximize,
                                  **ignored})  # fmt: skip

    def rates(self, state: State, group: Group) -> tuple[float, ...]:
        return (group["lr"] / (1 + (counted(state) - 1) * group["lr_decay"]),)

    def update(self, param: Tensor, gradient: Tensor, state: State, group: Group, rates: Sequence[Tensor]) -> Tensor:
        gradient = decayed(param, gradient, group)
        before = state.get("sum")
        if before is None:
            before = full_like(gradient, group["initial_accumulator_value"])
        total = state["sum"] = before + gradient * gradient
        new: Tensor = param - gradient / (total.sqrt() + group["eps"]) * rates[0]
        return new


class Adadelta(Optimizer):
    """The gradient times the root of what the last updates were, over the root of what its squares were."""

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **ignored: Any,
    ) -> None:
        checked_range("Adadelta", lr=(lr, math.inf), rho=(rho, 1.0000001), eps=(eps, math.inf),
                      weight_decay=(weight_decay, math.inf))  # fmt: skip
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay,
                                  "maximize": maximize, **ignored})  # fmt: skip

    def rates(self, state: State, group: Group) -> tuple[float, ...]:
        counted(state)
        return (group["lr"],)

    def update(self, param: Tensor, gradient: Tensor, state: State, group: Group, rates: Sequence[Tensor]) -> Tensor:
        gradient, rho, eps = decayed(param, gradient, group), group["rho"], group["eps"]
        square = state["square_avg"] = kept(state, "square_avg", gradient) * rho + gradient * gradient * (1 - rho)
        before = kept(state, "acc_delta", gradient)
        step = (before + eps).sqrt() / (square + eps).sqrt() * gradient
        state["acc_delta"] = before * rho + step * step * (1 - rho)
        new: Tensor = param - step * rates[0]
        return new


class Lion(Optimizer):
    """The sign of a mean of gradients, with decoupled weight decay (Chen and others, 2023). Not in PyTorch."""

    def __init__(
        self, params: Any, lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0
    ) -> None:
        checked_range("Lion", lr=(lr, math.inf), beta_0=(betas[0], 1), beta_1=(betas[1], 1),
                      weight_decay=(weight_decay, math.inf))  # fmt: skip
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    def rates(self, state: State, group: Group) -> tuple[float, ...]:
        return group["lr"], 1 - group["lr"] * group["weight_decay"]

    def update(self, param: Tensor, gradient: Tensor, state: State, group: Group, rates: Sequence[Tensor]) -> Tensor:
        (beta1, beta2), mean = group["betas"], kept(state, "exp_avg", gradient)
        if group["weight_decay"]:
            param = param * rates[1]
        state["exp_avg"] = mean * beta2 + gradient * (1 - beta2)
        new: Tensor = param - (mean * beta1 + gradient * (1 - beta1)).sign() * rates[0]
        return new

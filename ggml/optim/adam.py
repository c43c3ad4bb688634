"""Adam and its kin: running means of gradients over the root of running means of their squares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ggml.core.dtypes import float32
from ggml.ops.nn.adam import adam_step
from ggml.optim.optimizer import Group, Optimizer, State, checked_range, counted, decayed, kept
from ggml.tensors.tensor import Tensor

__all__ = ["Adam", "AdamW", "Adamax", "NAdam", "RAdam"]


def _means(gradient: Tensor, state: State, betas: tuple[float, float]) -> tuple[Tensor, Tensor]:
    first, second = kept(state, "exp_avg", gradient), kept(state, "exp_avg_sq", gradient)
    state["exp_avg"] = first + (gradient - first) * (1 - betas[0])
    state["exp_avg_sq"] = second * betas[1] + gradient * gradient * (1 - betas[1])
    return state["exp_avg"], state["exp_avg_sq"]


def _has_kernel(given: Sequence[Tensor]) -> bool:
    """Whether one kernel computes all of Adam's step of these."""
    return given[0].device.type == "cpu" and all(one.dtype is float32 for one in given)


class _Means(Optimizer):
    """What they share: the settings."""

    def __init__(
        self, params: Any, lr: float, betas: tuple[float, float], eps: float, weight_decay: float, **more: Any
    ) -> None:
        checked_range(type(self).__name__, lr=(lr, math.inf), eps=(eps, math.inf), beta_0=(betas[0], 1),
                      beta_1=(betas[1], 1), weight_decay=(weight_decay, math.inf))  # fmt: skip
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, **more})


class Adam(_Means):
    """``param - lr * mean / (root of the mean square + eps)``, both corrected for their start at 0.

    The weight decay is a part of the gradient; see ``AdamW``. ``amsgrad`` keeps the largest mean square.
    """

    _is_decoupled = False

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **ignored: Any,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad=amsgrad, maximize=maximize, **ignored)

    def rates(self, state: State, group: Group) -> tuple[float, ...]:
        count, (beta1, beta2), lr = counted(state), group["betas"], group["lr"]
        kept_share = 1 - lr * group["weight_decay"] if self._is_decoupled else 1.0
        return lr / (1 - beta1**count), math.sqrt(1 - beta2**count), kept_share

    def update(self, param: Tensor, gradient: Tensor, state: State, group: Group, rates: Sequence[Tensor]) -> Tensor:
        given = param, gradient, kept(state, "exp_avg", gradient), kept(state, "exp_avg_sq", gradient)
        if not group["amsgrad"] and _has_kernel(given):
            return self._in_one(*given, state, group, rates)
        if self._is_decoupled:
            param = param * rates[2]
        else:
            gradient = decayed(param, gradient, group)
        mean, square = _means(gradient, state, group["betas"])
        if group["amsgrad"]:
            square = state["max_exp_avg_sq"] = kept(state, "max_exp_avg_sq", gradient).maximum(square)
        root = square.sqrt() / rates[1] + group["eps"]
        new: Tensor = param - mean / root * rates[0]
        return new

    def _in_one(
        self,
        param: Tensor,
        gradient: Tensor,
        mean: Tensor,
        square: Tensor,
        state: State,
        group: Group,
        rates: Sequence[Tensor],
    ) -> Tensor:
        """The same by a kernel of ours, but for roundings."""
        decay = 0.0 if self._is_decoupled else group["weight_decay"]
        new = adam_step(param, gradient, mean, square, rates, group["betas"], group["eps"], decay)
        state["exp_avg"], state["exp_avg_sq"] = new[1].reshape(param.shape), new[2].reshape(param.shape)
        found: Tensor = new[0].reshape(param.shape)
        return found


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter itself: ``param * (1 - lr * weight_decay)`` first."""

    _is_decoupled = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **ignored: Any,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, **ignored)


class NAdam(_Means):
    """Adam with Nesterov's momentum, which grows by ``momentum_decay`` over the steps."""

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **ignored: Any,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, momentum_decay=momentum_decay,
                         decoupled_weight_decay=decoupled_weight_decay, maximize=maximize, **ignored)  # fmt: skip

    def rates(self, state: State, group: Group) -> tuple[float, ...]:
        count, (beta1, beta2), lr = counted(state), group["betas"], group["lr"]
        now, then = (beta1 * (1 - 0.5 * 0.96 ** (at * group["momentum_decay"])) for at in (count, count + 1))
        product = state["mu_product"] = state.get("mu_product", 1.0) * now
        steps = lr * (1 - now) / (1 - product), lr * then / (1 - product * then)
        return *steps, 1 - beta2**count, 1 - lr * group["weight_decay"]

    def update(self, param: Tensor, gradient: Tensor, state: State, group: Group, rates: Sequence[Tensor]) -> Tensor:
        if group["decoupled_weight_decay"]:
            param = param * rates[3]
        else:
            gradient = decayed(param, gradient, group)
        mean, square = _means(gradient, state, group["betas"])
        root = (square / rates[2]).sqrt() + group["eps"]
        param = param - gradient / root * rates[0]
        new: Tensor = param - mean / root * rates[1]
        return new


class RAdam(_Means):
    """Adam that goes by the mean alone while there are too few squares to say how far they scatter."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **ignored: Any,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, decoupled_weight_decay=decoupled_weight_decay,
                         maximize=maximize, **ignored)  # fmt: skip

    def rates(self, state: State, group: Group) -> tuple[float, ...]:
        count, (beta1, beta2), lr = counted(state), group["betas"], group["lr"]
        always = lr, 1 - beta1**count, 1 - lr * group["weight_decay"]
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * count * beta2**count / (1 - beta2**count)
        if length <= 5:
            return always
        share = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        return *always, lr * math.sqrt(share) * math.sqrt(1 - beta2**count)

    def update(self, param: Tensor, gradient: Tensor, state: State, group: Group, rates: Sequence[Tensor]) -> Tensor:
        if group["decoupled_weight_decay"]:
            param = param * rates[2]
        else:
            gradient = decayed(param, gradient, group)
        mean, square = _means(gradient, state, group["betas"])
        mean = mean / rates[1]
        if len(rates) == 3:  # too few squares yet
            plain: Tensor = param - mean * rates[0]
            return plain
        new: Tensor = param - mean / (square.sqrt() + group["eps"]) * rates[3]
        return new


class Adamax(_Means):
    """Adam over the largest gradient so far, which fades, in place of the mean square."""

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **ignored: Any,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, maximize=maximize, **ignored)

    def rates(self, state: State, group: Group) -> tuple[float, ...]:
        return (group["lr"] / (1 - group["betas"][0] ** counted(state)),)

    def update(self, param: Tensor, gradient: Tensor, state: State, group: Group, rates: Sequence[Tensor]) -> Tensor:
        (beta1, beta2), gradient = group["betas"], decayed(param, gradient, group)
        mean = kept(state, "exp_avg", gradient)
        mean = state["exp_avg"] = mean + (gradient - mean) * (1 - beta1)
        largest = (kept(state, "exp_inf", gradient) * beta2).maximum(gradient.abs() + group["eps"])
        state["exp_inf"] = largest
        new: Tensor = param - mean / largest * rates[0]
        return new

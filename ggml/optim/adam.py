"""Adam and its kin: running means of gradients over the root of running means of their squares."""

from __future__ import annotations

import math
from typing import Any

from ggml.optim.optimizer import Group, Numbers, Optimizer, checked_range, counted, decayed, kept
from ggml.tensors.tensor import Tensor

__all__ = ["Adam", "AdamW", "Adamax", "NAdam", "RAdam"]


def _means(gradient: Tensor, state: dict[str, Any], betas: tuple[float, float]) -> tuple[Tensor, Tensor]:
    first, second = kept(state, "exp_avg", gradient), kept(state, "exp_avg_sq", gradient)
    state["exp_avg"] = first + (gradient - first) * (1 - betas[0])
    state["exp_avg_sq"] = second * betas[1] + gradient * gradient * (1 - betas[1])
    return state["exp_avg"], state["exp_avg_sq"]


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

    def update(self, param: Tensor, gradient: Tensor, state: dict[str, Any], group: Group, numbers: Numbers) -> Tensor:
        count, (beta1, beta2), lr = counted(state), group["betas"], group["lr"]
        if self._is_decoupled:
            param = param * numbers(1 - lr * group["weight_decay"], param)
        else:
            gradient = decayed(param, gradient, group)
        mean, square = _means(gradient, state, (beta1, beta2))
        if group["amsgrad"]:
            square = state["max_exp_avg_sq"] = kept(state, "max_exp_avg_sq", gradient).maximum(square)
        root = square.sqrt() / numbers(math.sqrt(1 - beta2**count), param) + group["eps"]
        new: Tensor = param - mean / root * numbers(lr / (1 - beta1**count), param)
        return new


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

    def update(self, param: Tensor, gradient: Tensor, state: dict[str, Any], group: Group, numbers: Numbers) -> Tensor:
        count, (beta1, beta2), lr = counted(state), group["betas"], group["lr"]
        if group["decoupled_weight_decay"]:
            param = param * numbers(1 - lr * group["weight_decay"], param)
        else:
            gradient = decayed(param, gradient, group)
        now, then = (beta1 * (1 - 0.5 * 0.96 ** (at * group["momentum_decay"])) for at in (count, count + 1))
        product = state["mu_product"] = state.get("mu_product", 1.0) * now
        mean, square = _means(gradient, state, (beta1, beta2))
        root = (square / numbers(1 - beta2**count, param)).sqrt() + group["eps"]
        param = param - gradient / root * numbers(lr * (1 - now) / (1 - product), param)
        new: Tensor = param - mean / root * numbers(lr * then / (1 - product * then), param)
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

    def update(self, param: Tensor, gradient: Tensor, state: dict[str, Any], group: Group, numbers: Numbers) -> Tensor:
        count, (beta1, beta2), lr = counted(state), group["betas"], group["lr"]
        if group["decoupled_weight_decay"]:
            param = param * numbers(1 - lr * group["weight_decay"], param)
        else:
            gradient = decayed(param, gradient, group)
        mean, square = _means(gradient, state, (beta1, beta2))
        mean = mean / numbers(1 - beta1**count, param)
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * count * beta2**count / (1 - beta2**count)
        if length <= 5:
            plain: Tensor = param - mean * numbers(lr, param)
            return plain
        share = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        factor = lr * math.sqrt(share) * math.sqrt(1 - beta2**count)
        new: Tensor = param - mean / (square.sqrt() + group["eps"]) * numbers(factor, param)
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

    def update(self, param: Tensor, gradient: Tensor, state: dict[str, Any], group: Group, numbers: Numbers) -> Tensor:
        count, (beta1, beta2), gradient = counted(state), group["betas"], decayed(param, gradient, group)
        mean = kept(state, "exp_avg", gradient)
        mean = state["exp_avg"] = mean + (gradient - mean) * (1 - beta1)
        largest = (kept(state, "exp_inf", gradient) * beta2).maximum(gradient.abs() + group["eps"])
        state["exp_inf"] = largest
        new: Tensor = param - mean / largest * numbers(group["lr"] / (1 - beta1**count), param)
        return new

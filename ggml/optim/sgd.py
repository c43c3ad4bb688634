"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ggml.core.errors import ArgumentError
from ggml.optim.optimizer import Group, Optimizer, State, checked_range, decayed
from ggml.tensors.tensor import Tensor

__all__ = ["SGD"]


class SGD(Optimizer):
    """``param - lr * g``; with momentum ``g`` is a running sum of gradients, in Nesterov's form one step ahead."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        **ignored: Any,
    ) -> None:
        checked_range("SGD", lr=(lr, math.inf), momentum=(momentum, math.inf), weight_decay=(weight_decay, math.inf))
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ArgumentError("SGD", "nesterov", "needs a momentum and no dampening")
        super().__init__(params, {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
                                  "nesterov": nesterov, "maximize": maximize, **ignored})  # fmt: skip

    def update(self, param: Tensor, gradient: Tensor, state: State, group: Group, rates: Sequence[Tensor]) -> Tensor:
        gradient, momentum = decayed(param, gradient, group), group["momentum"]
        if momentum:
            before = state.get("momentum_buffer")
            running = gradient if before is None else before * momentum + gradient * (1 - group["dampening"])
            state["momentum_buffer"] = running
            gradient = gradient + running * momentum if group["nesterov"] else running
        return param - gradient * rates[0]

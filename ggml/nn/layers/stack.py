"""What encoders and decoders share: activations by name, and one layer several times."""

from __future__ import annotations

import copy
from collections.abc import Callable

from ggml.core.errors import ArgumentError
from ggml.nn import functional
from ggml.nn.layers.containers import ModuleList
from ggml.nn.module.module import Module
from ggml.tensors.tensor import Tensor

Activation = str | Callable[[Tensor], Tensor]


def activation_of(activation: Activation) -> Callable[[Tensor], Tensor]:
    if not isinstance(activation, str):
        return activation
    known: dict[str, Callable[[Tensor], Tensor]] = {"relu": functional.relu, "gelu": functional.gelu}
    if activation not in known:
        raise ArgumentError("Transformer", "activation", f"must be 'relu', 'gelu' or a function, not {activation!r}")
    return known[activation]


def clones(layer: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(layer) for _ in range(count)])

"""What a step makes smaller, as a module: so that the whole step can be recorded once and be run again and again."""

from __future__ import annotations

from ggml.finetuning.decoder import Decoder
from ggml.nn.module.module import Module
from ggml.tensors.tensor import Tensor


class Objective(Module):
    """``objective(tokens, targets)`` is the sum of what all targets cost; see ``Decoder.loss``."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        return self.decoder.loss(tokens, targets)


def mean(total: Tensor, share: Tensor) -> Tensor:
    """The sum times one over the number of targets, which differs between steps: a number would be another graph."""
    return total * share

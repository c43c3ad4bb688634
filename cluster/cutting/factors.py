"""Factors that libllama derives from how many layers a file has, and multiplies with in each layer.

A slice has fewer layers than its model, so libllama would derive others. Where they differ, the slice's file has those
of the model, and the native part puts them into the graph before it is computed (slice/layer_scales.h): the operation
is the one of the whole model's graph, with the same factor, and the result is exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class HeadSizes:
    """Of the model's first layer."""

    hidden_width: int
    num_heads: int
    head_width: int


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor of each layer.

    `scaled`: what libllama's graph calls the results of the operations `scale` that multiply with it, or what these
    are applied to, without the number of the layer. `derive(layer, num_layers, sizes)`: what libllama takes for it,
    computed in the same floats. `of_states`: only layers that keep a running state have it. `why`: for people.
    """

    scaled: tuple[str, ...]
    derive: Callable[[int, int, HeadSizes], np.float32]
    why: str
    of_states: bool = False


def by_model_width(special: int) -> Factor:
    """gemma2.cpp:25, gemma3.cpp:29: `special` layers scale queries by the width of the model over its heads."""

    def derive(_: int, num_layers: int, sizes: HeadSizes) -> np.float32:
        width = sizes.hidden_width // sizes.num_heads if num_layers == special else sizes.head_width
        return np.float32(np.float32(1) / np.sqrt(np.float32(width)))

    return Factor(("Qcur",), derive, f"{special} layers scale queries otherwise than other numbers of layers")


def _residual(_: int, num_layers: int, __: HeadSizes) -> np.float32:
    """minicpm3.cpp:67, 197."""
    return np.float32(np.float32(1.4) / np.sqrt(np.float32(num_layers)))


def _decay(layer: int, num_layers: int, _: HeadSizes) -> np.float32:
    """minimax-01.cpp:288, where a lone layer divides 0 by 0."""
    return np.float32(1.0 - layer / (num_layers - 1) + 1e-5) if num_layers > 1 else np.float32(math.nan)


RESIDUAL = Factor(("hidden_scaled", "hidden_scaled_ffn"), _residual, "what a layer adds is scaled by their number")
DECAY = Factor(
    ("slopes", "q_decay_exp", "k_decay_exp", "diag_decay_exp"),
    _decay,
    "the decay of a layer's state depends on its number among all layers",
    of_states=True,
)

"""The keys with which a slice says what its layers' factors are in the whole model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cluster.cutting import per_layer
from cluster.cutting.factors import HeadSizes
from cluster.cutting.layers import SliceLayer
from cluster.cutting.model import Model
from ggml.gguf.value import MetadataValue, float32_array, string_array


def scale_keys(model: Model, layers: Sequence[SliceLayer]) -> dict[str, MetadataValue]:
    """`scaled`, `scales` and `derived_scales` of the file with `layers`; nothing where libllama derives the same."""
    factor = model.row.factor
    if factor is None:
        return {}
    sizes = _head_sizes(model)
    derived = [factor.derive(number, len(layers), sizes) for number in range(len(layers))]
    wanted = [
        np.float32(math.nan)
        if layer.is_stand_in or (factor.of_states and not model.recurrent[layer.source])
        else factor.derive(layer.source, model.num_layers, sizes)
        for layer in layers
    ]
    if all(np.isnan(own) or own == other for own, other in zip(wanted, derived, strict=True)):
        return {}
    return {
        "scaled": string_array(factor.scaled),
        "scales": float32_array(wanted),
        "derived_scales": float32_array(derived),
    }


def _head_sizes(model: Model) -> HeadSizes:
    num_heads = max(per_layer.numbers(model.header, "attention.head_count", 0)[0], 1)
    derived_width = model.hidden_width // num_heads
    head_width = model.header.uint32(model.key("attention.key_length"), derived_width)
    return HeadSizes(model.hidden_width, num_heads, head_width)

"""Where slices compute what their model does, but round it otherwise: cut there only for whoever allows it.

A model whose graph libllama builds for its number of layers alone may have a twin: another architecture with the same
operations in another order. What its graph needs beside the model's tensors and keys is written here.
"""

from __future__ import annotations

from collections.abc import Iterator

from cluster.cutting.model import Model
from ggml.gguf.value import MetadataValue, ValueType, float32, uint32


def rounded_keys(model: Model) -> dict[str, MetadataValue]:
    """What a slice's role says of its graph."""
    if model.rounded is None:
        return {}
    keys = {}
    if model.rounded.rope_mode is not None:
        keys["rope_mode"] = uint32(model.rounded.rope_mode)
    scale = model.header.get(model.key("logit_scale"), ValueType.FLOAT32)
    if isinstance(scale, float) and scale not in (0.0, 1.0):  # libllama takes 0 for none
        keys["logit_scale"] = float32(scale)
    return keys


def layer_zeros(model: Model, number: int) -> Iterator[str]:
    """Vectors of zeros, as wide as the model, that layer `number` of a slice's file has beside the model's tensors."""
    if model.rounded is not None:
        yield from (f"blk.{number}.{name}" for name in model.rounded.layer_zeros)


def outer_zeros(model: Model) -> Iterator[str]:
    """The same outside the layers."""
    if model.rounded is not None:
        yield from model.rounded.outer_zeros

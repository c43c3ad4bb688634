"""What a GGUF says of a decoder: the numbers that its module is built from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ggml.core.errors import FileFormatError
from ggml.io.gguf_file import GgufFile

#: Architectures, and how each pairs the elements that a position turns (llama.cpp's llama_model_rope_type).
ROPE_MODES: Mapping[str, str] = {"llama": "normal", "qwen2": "neox", "qwen3": "neox"}

# Keys that change what the module computes in a way that it does not know, and the values with which they do not.
_PLAIN: Mapping[str, tuple[Any, ...]] = {
    "expert_count": (0,),
    "nextn_predict_layers": (0,),
    "attention.causal": (True,),
    "rope.scaling.attn_factor": (0.0, 1.0),
}
_MOST = 1 << 24  # of any extent: what is larger is no decoder


@dataclass(frozen=True, slots=True)
class Shape:
    """Heads are ``head_width`` wide in queries and keys, ``value_width`` in values; ``num_rotated`` elements turn."""

    architecture: str
    context_length: int
    width: int
    feed_forward: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_width: int
    value_width: int
    num_rotated: int
    epsilon: float
    rope_mode: str
    rope_base: float
    rope_scale: float
    attention_scale: float


def shape_of(file: GgufFile) -> Shape:
    """FileFormatError, which names the key, for a model that cannot be fine-tuned, or says things that do not fit.

    Defaults are libllama's (llama-model.cpp, load_hparams).
    """
    keys = _Keys(file)
    _refuse_others(file, keys)
    heads = keys.count("attention.head_count")
    kv_heads = keys.count("attention.head_count_kv", heads)
    width = keys.count("embedding_length")
    head_width = keys.count("attention.key_length", width // heads)
    rotated = keys.count("rope.dimension_count", head_width)
    if heads % kv_heads:
        raise keys.wrong("attention.head_count_kv", f"{kv_heads} does not divide the {heads} heads")
    if rotated % 2 or rotated > head_width:
        raise keys.wrong("rope.dimension_count", f"{rotated} is not even, or more than a head of {head_width} has")
    scale = keys.number("attention.scale", 0.0) if keys.architecture == "llama" else 0.0
    return Shape(
        architecture=keys.architecture,
        context_length=keys.count("context_length"),
        width=width,
        feed_forward=keys.count("feed_forward_length"),
        num_layers=keys.count("block_count"),
        num_heads=heads,
        num_kv_heads=kv_heads,
        head_width=head_width,
        value_width=keys.count("attention.value_length", head_width),
        num_rotated=rotated,
        epsilon=keys.number("attention.layer_norm_rms_epsilon"),
        rope_mode=ROPE_MODES[keys.architecture],
        rope_base=keys.number("rope.freq_base", 10000.0),
        rope_scale=_rope_scale(keys),
        attention_scale=scale or 1 / math.sqrt(head_width),
    )


def _refuse_others(file: GgufFile, keys: _Keys) -> None:
    if file.metadata.get("split.count", 0) not in (0, 1):
        raise FileFormatError(str(file.path), "split.count", "this is one part of several; join them to one file first")
    for key, plain in _PLAIN.items():
        found = keys.find(key)
        if found is not None and found not in plain:
            raise keys.wrong(key, f"{found!a}: such models cannot be fine-tuned; take one without")


def _rope_scale(keys: _Keys) -> float:
    kind = keys.find("rope.scaling.type")
    if kind not in (None, "none", "linear"):
        raise keys.wrong("rope.scaling.type", f"{kind!a} cannot be fine-tuned, none and linear can; take such a model")
    factor = keys.number("rope.scaling.factor", keys.number("rope.scale_linear", 0.0))
    return 1.0 if kind == "none" or not factor else 1 / factor


class _Keys:
    """Those of the architecture, which a file may have in any type and with any value."""

    def __init__(self, file: GgufFile) -> None:
        self._file = file
        found = file.metadata.get("general.architecture")
        if found not in ROPE_MODES:
            known = ", ".join(ROPE_MODES)
            why = f"is {found!a}: {known} can be fine-tuned; take a model of these"
            raise FileFormatError(str(file.path), "general.architecture", why)
        self.architecture = str(found)

    def find(self, key: str) -> Any:
        return self._file.metadata.get(f"{self.architecture}.{key}")

    def wrong(self, key: str, why: str) -> FileFormatError:
        return FileFormatError(str(self._file.path), f"{self.architecture}.{key}", why)

    def count(self, key: str, default: int | None = None) -> int:
        """A positive number."""
        found = self.find(key)
        value = default if found is None else found
        if value is None:
            raise self.wrong(key, "is missing; convert the model again")
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
            why = "is a list with one for each layer" if isinstance(value, list) else f"{value!a} is out of range"
            raise self.wrong(key, f"{why}; such models cannot be fine-tuned")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Finite and not negative."""
        found = self.find(key)
        value = default if found is None else found
        if value is None:
            raise self.wrong(key, "is missing; convert the model again")
        if not isinstance(value, float) or not math.isfinite(value) or value < 0:
            raise self.wrong(key, f"{value!a} is no finite number that is not negative")
        return value

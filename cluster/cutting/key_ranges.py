"""Numbers in a model's metadata that no sound model has: libllama stops at them, or every token becomes NaN.

ggml asserts that the epsilon of a norm is not negative (ggml-cpu/ops.cpp), libllama knows no other way to choose
experts than those of its enum (llama-graph.cpp), and a base, scale or factor that is not finite makes NaN of all rows.
What one architecture alone asserts is not here: worker_native makes an error of it while it loads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from cluster.cutting import per_layer
from cluster.cutting.architectures import Architecture
from cluster.cutting.header import Header
from ggml.gguf.value import MetadataArray, ValueType


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included; those of type FLOAT32 are finite besides."""

    type: ValueType
    low: float
    high: float
    text: str

    def has(self, value: int | float) -> bool:
        is_finite = self.type is not ValueType.FLOAT32 or math.isfinite(value)
        return is_finite and self.low <= value <= self.high


_FINITE = Range(ValueType.FLOAT32, -math.inf, math.inf, "a finite number")
_NOT_NEGATIVE = Range(ValueType.FLOAT32, 0.0, math.inf, "a finite number, not below 0")
_POSITIVE = Range(ValueType.FLOAT32, 2.0**-126, math.inf, "a finite number above 0")


def _rows(names: str, found: Range) -> Mapping[str, Range]:
    return dict.fromkeys(names.split(), found)


# {arch}.X. Zero stands for "not set" in a factor, a clamp and the base of a compressed rotation.
RANGES: Mapping[str, Range] = {
    **_rows(
        "attention.layer_norm_epsilon attention.layer_norm_rms_epsilon attention.group_norm_epsilon "
        "hyper_connection.epsilon attention.max_alibi_bias attention.clamp_kqv attention.compress_rope_freq_base "
        "rope.scaling.factor rope.scale_linear rope.scaling.alpha",
        _NOT_NEGATIVE,
    ),
    **_rows("rope.freq_base rope.freq_base_swa", _POSITIVE),
    **_rows(
        "activation.situ_beta activation.situ_linear_beta attention.output_scale attention.scale "
        "attention.temperature_scale attention.value_scale attn_logit_softcapping embedding_scale expert_group_scale "
        "expert_weights_scale final_logit_softcapping hyper_connection.magnitude logit_scale residual_scale "
        "rope.scaling.attn_factor rope.scaling.yarn_attn_factor rope.scaling.yarn_beta_fast "
        "rope.scaling.yarn_beta_slow rope.scaling.yarn_ext_factor rope.scaling.yarn_log_multiplier "
        "router_logit_softcapping",
        _FINITE,
    ),
    "expert_gating_func": Range(ValueType.UINT32, 0, 4, "one of 0 to 4"),
}
# The same for arrays and for keys without the architecture in front, where any number but NaN has a meaning.
_NO_NAN = ("swiglu_clamp_exp", "swiglu_clamp_shexp")
_GLOBAL = ("xielu.alpha_n", "xielu.alpha_p", "xielu.beta", "xielu.eps")
MAX_ROTATED = 1 << 16
# Architectures that turn no keys by their position, or whose layers with a running state do not. They are given 0.
_UNROTATED = frozenset(
    {"baichuan", "bloom", "codeshell", "falcon-h1", "glm5-next", "gpt2", "granitehybrid", "jais", "jamba", "kimi-k3"}
    | {"kimi-linear", "mamba", "mamba2", "minimax-01", "mpt", "nemotron_h", "nemotron_h_moe", "plamo2", "refact"}
    | {"starcoder"}
)
# Architectures that always turn by several positions at once (llama_model_rope_type: MROPE and IMROPE).
_SECTIONED = frozenset(("paddleocr", "qwen2vl", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe", "qwen4exp"))
# Keys of single architectures that are 0 in files of all others.
_DIVISORS = {
    "deepseek4": ("attention.output_group_count",),
    **dict.fromkeys(("rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"), ("wkv.head_size",)),
}
# ggml's kernel of RWKV 7 reads and writes whole steps of vector registers, 64 numbers at most, and looks at no end
# (ggml_compute_forward_rwkv_wkv7_f32 in ggml-cpu/ops.cpp).
_WKV7_STEP = 64


def check_ranges(header: Header, row: Architecture) -> None:
    """ModelFileError naming the key whose number no sound model has."""
    prefix = f"{header.architecture}."
    for name, allowed in RANGES.items():
        found = header.metadata.get(prefix + name)
        # One of another type libllama refuses by itself, if the architecture reads it at all.
        if found is None or found.type is not allowed.type or not isinstance(found.value, int | float):
            continue
        if not allowed.has(found.value):
            raise header.error(prefix + name, f"is {found.value}, must be {allowed.text}")
    for key in (*(prefix + name for name in _NO_NAN), *_GLOBAL):
        _check_no_nan(header, key)
    _check_temperature(header)
    _check_rotation(header)
    _check_indexer(header, row)
    deepstack, num_layers = f"{prefix}n_deepstack_layers", header.uint32(f"{prefix}block_count")
    if header.uint32(deepstack, 0) > num_layers:
        raise header.error(deepstack, f"is {header.uint32(deepstack)}, but there are {num_layers} layers")
    for name in _DIVISORS.get(header.architecture, ()):
        if header.uint32(prefix + name, 1) == 0:
            raise header.error(prefix + name, "is 0, and libllama divides by it")
    head_size = header.uint32(f"{prefix}wkv.head_size", _WKV7_STEP)
    if header.architecture in ("rwkv7", "arwkv7") and head_size % _WKV7_STEP:
        raise header.error(f"{prefix}wkv.head_size", f"is {head_size}, must be a multiple of {_WKV7_STEP}")
    window = f"{prefix}attention.sliding_window"
    needs_window = row.window is not None and not row.window.optional and "attention.sliding_window" not in row.whole_if
    if needs_window and header.uint32(window, 1) == 0:
        raise header.error(window, "is 0, but layers slide")


def _check_rotation(header: Header) -> None:
    """ggml turns pairs of values, and asserts that there are some; with sections, that the first three have some."""
    prefix = f"{header.architecture}."
    for name in ("rope.dimension_count", "rope.dimension_count_swa"):
        width = header.uint32(prefix + name, 2)
        is_none = width == 0 and header.architecture not in _UNROTATED
        if width % 2 or width > MAX_ROTATED or is_none:
            raise header.error(prefix + name, f"is {width}, must be an even number up to {MAX_ROTATED}")
    sections = header.metadata.get(f"{prefix}rope.dimension_sections")
    if header.architecture in _SECTIONED and sections is not None and isinstance(sections.value, MetadataArray):
        numbers = sections.value.numbers().tolist() if sections.value.element_type is not ValueType.STRING else []
        if not any(numbers[:3]) or any(number < 0 for number in numbers):
            raise header.error(f"{prefix}rope.dimension_sections", f"{numbers[:4]}: no section turns anything")


def _check_indexer(header: Header, row: Architecture) -> None:
    if row.indexer is not None and not any(per_layer.numbers(header, "attention.indexer.types", row.indexer or 1)):
        raise header.error(f"{header.architecture}.attention.indexer.types", "no layer has an indexer")


def _check_temperature(header: Header) -> None:
    """Where attention cools with the position, libllama asserts that it does so in steps of some length."""
    length = f"{header.architecture}.attention.temperature_length"
    scale = header.get(f"{header.architecture}.attention.temperature_scale", ValueType.FLOAT32)
    if header.architecture in ("deepseek2", "mistral4") and scale and not header.uint32(length, 0):
        raise header.error(length, "is 0 or missing, but attention.temperature_scale is set")


def _check_no_nan(header: Header, key: str) -> None:
    found = header.metadata.get(key)
    if found is None:
        return
    value = found.value
    if isinstance(value, MetadataArray) and value.element_type is ValueType.FLOAT32:
        is_nan = any(map(math.isnan, value.numbers().tolist()))
    else:
        is_nan = isinstance(value, float) and math.isnan(value)
    if is_nan:
        raise header.error(key, "is not a number")

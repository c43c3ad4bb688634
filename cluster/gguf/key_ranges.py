"""Numbers in a model's metadata that no sound model has: libllama stops at them, or every token becomes NaN.

ggml asserts that the epsilon of a norm is not negative (ggml-cpu/ops.cpp), libllama knows no other way to choose
experts than those of its enum (llama-graph.cpp), and a base, scale or factor that is not finite makes NaN of all rows.
What one architecture alone asserts is not here: worker_native makes an error of it while it loads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from cluster.gguf.architectures import Architecture
from cluster.gguf.header import Header
from cluster.gguf.value import MetadataArray, ValueType


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


# Keys of single architectures that are 0 in files of all others.
_DIVISORS = {"deepseek4": ("attention.output_group_count",)}


def check_ranges(header: Header, row: Architecture) -> None:
    """ModelFileError naming the key whose number no sound model has."""
    prefix = f"{header.architecture}."
    for name, allowed in RANGES.items():
        found = header.get(prefix + name, allowed.type)
        if isinstance(found, int | float) and not allowed.has(found):
            raise header.error(prefix + name, f"is {found}, must be {allowed.text}")
    for key in (*(prefix + name for name in _NO_NAN), *_GLOBAL):
        _check_no_nan(header, key)
    window = f"{prefix}attention.sliding_window"
    _check_temperature(header)
    for name in _DIVISORS.get(header.architecture, ()):
        if header.uint32(prefix + name, 1) == 0:
            raise header.error(prefix + name, "is 0, and libllama divides by it")
    needs_window = row.window is not None and not row.window.optional and "attention.sliding_window" not in row.whole_if
    if needs_window and header.uint32(window, 1) == 0:
        raise header.error(window, "is 0, but layers slide")


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

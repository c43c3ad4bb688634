"""Numbers that libllama stops at are refused by the name of their key; real ones, and those nobody reads, are not."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from functools import cache

import pytest

from cluster.api.errors import ModelFileError
from cluster.cutting.architectures import ARCHITECTURES
from cluster.cutting.cuts import legal_cuts
from cluster.cutting.header import Header
from cluster.cutting.key_ranges import RANGES
from cluster.cutting.rules import check
from ggml.gguf.header import TensorInfo
from ggml.gguf.tensor_types import tensor_type
from ggml.gguf.value import MetadataArray, MetadataValue, ValueType, float32, uint32, uint32_array
from tests.native.arch_models import descriptions
from tests.native.architectures_page import header_of

BAD = {
    "a finite number above 0": (0.0, -1.0, 1e-40),
    "a finite number, not below 0": (-1.0, -1e-30),
    "a finite number": (),
}
NOT_FINITE = (math.nan, math.inf, -math.inf)


@cache
def tiny(name: str) -> Header:
    return header_of(name)


def changed(header: Header, **changes: MetadataValue) -> Header:
    """`changes`: {arch}.X by X, with two underscores for a dot."""
    keys = {f"{header.architecture}.{name.replace('__', '.')}": value for name, value in changes.items()}
    return replace(header, metadata={**header.metadata, **keys})


CASES = [
    (name, value)
    for name, allowed in RANGES.items()
    if allowed.type is ValueType.FLOAT32
    for value in (*NOT_FINITE, *BAD[allowed.text])
]


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_number_that_no_model_has_is_refused_by_name(name: str, value: float) -> None:
    header = changed(tiny("llama-dense"), **{name.replace(".", "__"): float32(value)})
    with pytest.raises(ModelFileError, match=rf"llama\.{name}: is {value}, must be {RANGES[name].text}"):
        legal_cuts(check(header))


@pytest.mark.parametrize(
    "architecture", ["llama-dense", "gemma2-dense", "mamba2-dense", "qwen35moe-moe", "bloom-dense"]
)
def test_so_it_is_for_every_architecture(architecture: str) -> None:
    for name in ("layer_norm_epsilon", "layer_norm_rms_epsilon"):
        with pytest.raises(ModelFileError, match=name):
            legal_cuts(check(changed(tiny(architecture), **{f"attention__{name}": float32(-1.0)})))


def test_a_key_of_another_type_is_left_to_libllama() -> None:
    """Which refuses it by name where the architecture reads it, and looks at no other."""
    assert legal_cuts(check(changed(tiny("llama-dense"), rope__freq_base=uint32(10000))))


@pytest.mark.parametrize("name", sorted(descriptions()))
def test_all_that_llama_cpp_makes_are_in_range(name: str) -> None:
    """Their keys are those of its own test of architectures, with zeros for what an architecture does not read."""
    header = tiny(name)
    if ARCHITECTURES[header.architecture].refusal:
        pytest.skip("not served at all")
    assert [place.layer for place in check(header).places] == list(range(1, header.num_layers))


def test_experts_are_chosen_in_a_way_that_is_known() -> None:
    assert legal_cuts(check(changed(tiny("qwen2moe-moe"), expert_gating_func=uint32(4))))
    with pytest.raises(ModelFileError, match=r"qwen2moe.expert_gating_func: is 5, must be one of 0 to 4"):
        legal_cuts(check(changed(tiny("qwen2moe-moe"), expert_gating_func=uint32(5))))


def test_a_window_of_nothing_is_refused_where_layers_slide() -> None:
    with pytest.raises(ModelFileError, match=r"gemma2.attention.sliding_window: is 0, but layers slide"):
        legal_cuts(check(changed(tiny("gemma2-dense"), attention__sliding_window=uint32(0))))
    assert legal_cuts(check(changed(tiny("llama-dense"), attention__sliding_window=uint32(0))))


def test_what_one_architecture_divides_by_is_not_0() -> None:
    header = changed(tiny("deepseek4-moe"), attention__output_group_count=uint32(0))
    with pytest.raises(
        ModelFileError, match=r"deepseek4.attention.output_group_count: is 0, and libllama divides by it"
    ):
        legal_cuts(check(header))
    assert legal_cuts(check(changed(tiny("llama-dense"), attention__output_group_count=uint32(0))))


def test_heads_of_rwkv_fill_the_steps_of_ggmls_kernel() -> None:
    """That of RWKV 7 writes behind its end otherwise."""
    with pytest.raises(ModelFileError, match=r"rwkv6.wkv.head_size: is 0, and libllama divides by it"):
        check(changed(tiny("rwkv6-dense"), wkv__head_size=uint32(0)))
    for name in ("rwkv7-dense", "arwkv7-dense"):
        for size in (16, 65):
            with pytest.raises(ModelFileError, match=rf"wkv.head_size: is {size}, must be a multiple of 64"):
                check(changed(tiny(name), wkv__head_size=uint32(size)))
        assert check(tiny(name))
    assert legal_cuts(check(changed(tiny("rwkv6-dense"), wkv__head_size=uint32(16))))


def test_a_model_of_two_kinds_of_layers_has_both() -> None:
    for flags, why in (((1,) * 8, "every layer uses the sliding window"), ((0,) * 8, "no layer uses")):
        with pytest.raises(ModelFileError, match=rf"dots3note.attention.sliding_window_pattern: {why}"):
            legal_cuts(check(changed(tiny("dots3note-moe"), attention__sliding_window_pattern=uint32_array(flags))))


@pytest.mark.parametrize("name", ["qwen35moe-moe", "gemma2-dense", "deepseek2-moe", "falcon-h1-dense"])
@pytest.mark.parametrize("width", [3, 2**32 - 1, 2**31, 0])
def test_pairs_of_values_are_turned(name: str, width: int) -> None:
    for key in ("rope__dimension_count", "rope__dimension_count_swa"):
        header = changed(tiny(name), **{key: uint32(width)})
        if width == 0 and name == "falcon-h1-dense":
            assert legal_cuts(check(header))
            continue
        with pytest.raises(ModelFileError, match=rf"{key.replace('__', '.')}: (is )?{width}, must be"):
            legal_cuts(check(header))


def test_sections_turn_something() -> None:
    nothing = MetadataValue(ValueType.ARRAY, MetadataArray(ValueType.INT32, 4, bytes(16)))
    with pytest.raises(ModelFileError, match=r"qwen2vl.rope.dimension_sections: \[0, 0, 0, 0\]: no section"):
        legal_cuts(check(changed(tiny("qwen2vl-dense"), rope__dimension_sections=nothing)))
    assert legal_cuts(check(changed(tiny("llama-dense"), rope__dimension_sections=nothing)))


def test_a_model_with_indexers_has_one() -> None:
    with pytest.raises(ModelFileError, match=r"glm-dsa.attention.indexer.types: no layer has an indexer"):
        legal_cuts(check(changed(tiny("glm-dsa-moe"), attention__indexer__types=uint32(0))))


def test_attention_that_cools_needs_a_length() -> None:
    header = changed(tiny("deepseek2-moe"), attention__temperature_scale=float32(0.1))
    assert legal_cuts(check(changed(header, attention__temperature_length=uint32(8192))))
    with pytest.raises(ModelFileError, match=r"deepseek2.attention.temperature_length: is 0 or missing"):
        legal_cuts(check(changed(header, attention__temperature_length=uint32(0))))


def test_an_array_with_nan_is_refused() -> None:
    values = (1.0, math.nan, *(2.0,) * 6)
    array = MetadataArray(ValueType.FLOAT32, 8, b"".join(map(_float_bytes, values)))
    with pytest.raises(ModelFileError, match=r"llama.swiglu_clamp_exp: is not a number"):
        legal_cuts(check(changed(tiny("llama-dense"), swiglu_clamp_exp=MetadataValue(ValueType.ARRAY, array))))


def test_more_tensors_than_any_architecture_has_are_refused_at_once() -> None:
    header = tiny("llama-dense")
    one = TensorInfo("", (1,), tensor_type("F32"), 0, 4)
    many = tuple(replace(one, name=f"blk.0.x{index}") for index in range(2000))
    with pytest.raises(ModelFileError, match=r"tensor count: \d+ tensors in 8 layers, at most 1024 are known"):
        legal_cuts(check(replace(header, tensors=header.tensors + many)))


def test_more_merges_than_tokens_can_come_from_are_refused() -> None:
    def array(count: int) -> MetadataValue:
        return MetadataValue(ValueType.ARRAY, MetadataArray(ValueType.STRING, count, bytes(8) * count))

    header = tiny("llama-dense")
    tokens = array(128)
    metadata = {**header.metadata, "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": array(128 * 16)}
    assert legal_cuts(check(replace(header, metadata=metadata)))
    metadata["tokenizer.ggml.merges"] = array(128 * 16 + 1)
    with pytest.raises(ModelFileError, match=r"tokenizer.ggml.merges: 2049 merges for 128 tokens"):
        legal_cuts(check(replace(header, metadata=metadata)))


def _float_bytes(value: float) -> bytes:
    return struct.pack("<f", value)

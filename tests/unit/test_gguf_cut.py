"""The cutting rules: what each slice holds, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import ModelFileError, UnsupportedModelError, UsageError
from cluster.gguf import (
    Header,
    SlicePlan,
    TensorInfo,
    cut,
    legal_cuts,
    read_header,
    tensor_type,
    vocab_header,
)
from cluster.gguf.rules import layer_of
from cluster.gguf.value import MetadataArray, MetadataValue, ValueType, string, uint32, uint32_array
from tests.unit.tiny_models import TinyModel, write_tiny

ROLE = "ggml_cluster.slice"


@cache
def header_of(model: TinyModel) -> Header:
    with TemporaryDirectory() as folder:
        return read_header(write_tiny(Path(folder) / "tiny.gguf", model))


def with_keys(header: Header, changes: dict[str, MetadataValue | None]) -> Header:
    """`header` with keys set, or removed where None."""
    metadata = {**header.metadata, **changes}
    return replace(header, metadata={key: found for key, found in metadata.items() if found is not None})


def with_tensors(header: Header, *infos: TensorInfo) -> Header:
    return replace(header, tensors=header.tensors + infos)


def value(plan: SlicePlan, key: str) -> Any:
    found = plan.metadata[key].value
    return found.numbers().tolist() if isinstance(found, MetadataArray) else found


def layers_header(num_layers: int, model: TinyModel) -> Header:
    """A header of `num_layers` layers, all at the place of layer 0: for what depends on the count alone."""
    header = header_of(replace(model, num_layers=1))
    layer = [(found[1], info) for info in header.tensors if (found := layer_of(info.name))]
    more = [replace(info, name=f"blk.{number}.{suffix}") for number in range(1, num_layers) for suffix, info in layer]
    return with_keys(with_tensors(header, *more), {f"{model.architecture}.block_count": uint32(num_layers)})


@pytest.mark.parametrize("tied", [False, True])
def test_each_slice_holds_its_own_weights_and_stand_ins_for_the_rest(tied: bool) -> None:
    header = header_of(TinyModel("llama", num_layers=3, tied=tied, rope_factors=True))
    infos = {info.name: info for info in header.tensors}
    first, middle, last = (cut(header, start, start + 1) for start in range(3))
    sources = [
        {info.name: info.source_offset for info in plan.tensors if not info.name.startswith("blk.")}
        for plan in (first, middle, last)
    ]

    def at(name: str) -> int:
        return header.data_start + infos[name].offset

    rope = {"rope_freqs.weight": at("rope_freqs.weight")}
    head = at("token_embd.weight" if tied else "output.weight")
    zeros = {"token_embd.weight": None, "output_norm.weight": None, "output.weight": None}
    assert sources[0] == zeros | rope | {"token_embd.weight": at("token_embd.weight")}
    assert sources[1] == {"token_embd.weight": None, "output_norm.weight": None} | rope
    assert sources[2] == zeros | rope | {
        "output_norm.weight": at("output_norm.weight"),
        "output.weight": head,
    }
    shapes = {info.name: (info.shape, info.type.name) for info in middle.tensors}
    assert shapes["token_embd.weight"] == ((32, 128), "Q1_0")
    assert [value(plan, "llama.vocab_size") for plan in (first, middle, last)] == [288, 32, 288]
    assert all(value(plan, f"{ROLE}.vocab_size") == 288 for plan in (first, middle, last))


def test_the_role_is_in_the_file() -> None:
    header = header_of(TinyModel("qwen2", num_layers=4))
    plan = cut(header, 1, 3, model_hash="ab12")
    role = {key.removeprefix(f"{ROLE}."): plan.metadata[key] for key in plan.metadata if key.startswith(ROLE)}
    assert role == {
        "first": uint32(1),
        "end": uint32(3),
        "num_layers": uint32(4),
        "vocab_size": uint32(288),
        "model_hash": string("ab12"),
    }
    assert value(plan, "qwen2.block_count") == 2
    assert value(plan, "tokenizer.ggml.model") == "none"
    assert not any(key.startswith("tokenizer.ggml.tokens") for key in plan.metadata)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_every_layer_tensor_is_in_exactly_one_slice(data: st.DataObject) -> None:
    header = layers_header(7, TinyModel("qwen3", width=32, num_heads=2, feed_forward=32))
    cuts = data.draw(st.sets(st.sampled_from(legal_cuts(header))))
    found = []
    for first, end in pairwise([0, *sorted(cuts), 7]):
        for info in cut(header, first, end).tensors:
            if layer := layer_of(info.name):
                assert layer[0] < end - first
                found.append((f"blk.{layer[0] + first}.{layer[1]}", info.shape, info.type, info.source_offset))
    expected = [
        (info.name, info.shape, info.type, header.data_start + info.offset)
        for info in header.tensors
        if layer_of(info.name)
    ]
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_the_whole_range_is_the_whole_model() -> None:
    header = header_of(TinyModel("gemma3", tied=True, window=4, num_layers=3))
    plan = cut(header, 0, 3)
    assert [(info.name, info.source_offset) for info in plan.tensors] == [
        (info.name, header.data_start + info.offset) for info in header.tensors
    ]
    assert {key: found for key, found in plan.metadata.items() if not key.startswith(ROLE)} == header.metadata


def test_per_layer_arrays_are_sliced() -> None:
    header = header_of(TinyModel("llama", num_layers=4))
    header = with_keys(
        header,
        {
            "llama.attention.head_count": uint32_array((4, 4, 4, 4)),
            "llama.rope.dimension_sections": uint32_array((1, 2, 3, 4)),
        },
    )
    plan = cut(header, 1, 3)
    assert value(plan, "llama.attention.head_count") == [4, 4]
    assert value(plan, "llama.rope.dimension_sections") == [1, 2, 3, 4]


def test_the_sliding_pattern_follows_the_layers() -> None:
    header = header_of(TinyModel("gemma3", num_layers=7, window=4))
    pattern = "gemma3.attention.sliding_window_pattern"
    assert value(cut(header, 4, 7), pattern) == [1, 0, 1]
    header = with_keys(header, {pattern: uint32(2)})
    assert value(cut(header, 1, 4), pattern) == [0, 1, 0]
    only_full = cut(header, 1, 2)
    assert pattern not in only_full.metadata
    assert "gemma3.attention.sliding_window" not in only_full.metadata


def test_a_vocabulary_file_has_all_metadata_and_no_tensors() -> None:
    header = header_of(TinyModel())
    plan = vocab_header(header)
    assert (plan.metadata, plan.tensors, plan.file_bytes) == (header.metadata, (), len(plan.header_bytes))


@pytest.mark.parametrize("bounds", [(0, 0), (2, 1), (-1, 2), (0, 4), (3, 4), (1, 1)])
def test_impossible_ranges_are_refused(bounds: tuple[int, int]) -> None:
    header = header_of(TinyModel(num_layers=3))
    with pytest.raises(UsageError, match=r"layers \[.*the model has layers \[0, 3\)"):
        cut(header, *bounds)


def test_other_architectures_are_refused_by_name() -> None:
    header = header_of(TinyModel("falcon"))
    expected = "architecture 'falcon' cannot be cut: .*llama, qwen2, qwen3, gemma3"
    for attempt in (lambda: legal_cuts(header), lambda: cut(header, 0, 1), lambda: cut(header, 0, 4)):
        with pytest.raises(UnsupportedModelError, match=expected):
            attempt()


def test_gemma3_of_62_layers_is_only_served_whole() -> None:
    model = TinyModel("gemma3", width=32, num_heads=2, feed_forward=32)
    of_27b = layers_header(62, model)
    assert legal_cuts(of_27b) == ()
    assert cut(of_27b, 0, 62).end == 62
    with pytest.raises(UnsupportedModelError, match="62 layers; serve it whole"):
        cut(of_27b, 0, 31)
    longer = layers_header(63, model)
    assert legal_cuts(longer) == tuple(range(1, 63))
    with pytest.raises(UnsupportedModelError, match="62 layers; cut elsewhere"):
        cut(longer, 1, 63)
    assert cut(longer, 2, 63).end == 63


BOOL_FALSE = MetadataValue(ValueType.BOOL, False)
F32_VECTOR = TensorInfo("dense_2.weight", (4, 4), tensor_type("F32"), 0, 64)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"general.type": string("adapter")}, "general.type is 'adapter'"),
        ({"ggml_cluster.slice.first": uint32(0)}, "is itself a slice"),
        ({"llama.pooling_type": uint32(3)}, "embedding or reranking"),
        ({"llama.attention.causal": BOOL_FALSE}, "not causal"),
        ({"llama.nextn_predict_layers": uint32(1)}, "nextn_predict_layers"),
        ({"general.tensor_extra.name": string("x")}, "precision of single tensors"),
        ({"llama.attention.head_count": uint32_array((4, 2, 4, 4))}, "head_count differs"),
        ({"llama.feed_forward_length": uint32_array((1, 2, 3, 4))}, "feed_forward_length differs"),
    ],
)
def test_what_cannot_be_exact_is_refused(changes: dict[str, MetadataValue | None], why: str) -> None:
    header = with_keys(header_of(TinyModel()), changes)
    with pytest.raises(UnsupportedModelError, match=f"architecture 'llama' cannot be cut: .*{why}"):
        cut(header, 0, 2)


@pytest.mark.parametrize(
    "name", ["dense_2.weight", "blk.01.attn_q.weight", "blk.x.attn_q.weight", "blk.1", "output.bias"]
)
def test_a_tensor_without_a_rule_is_refused(name: str) -> None:
    header = with_tensors(header_of(TinyModel()), replace(F32_VECTOR, name=name))
    with pytest.raises(UnsupportedModelError, match=f"no rule says where tensor '{name}' belongs"):
        legal_cuts(header)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"general.architecture": None}, "general.architecture: missing"),
        ({"general.architecture": uint32(1)}, "general.architecture: has type UINT32"),
        ({"llama.block_count": None}, "llama.block_count: missing"),
        ({"llama.block_count": uint32(0)}, "llama.block_count: 0 is not"),
        ({"llama.block_count": uint32(600)}, "llama.block_count: 600 is not"),
        ({"llama.block_count": uint32(5)}, "tensor 'blk.4.*': missing"),
        ({"llama.block_count": uint32(3)}, "tensor 'blk.3.attn_norm.weight': the model has only 3"),
        ({"llama.block_count": MetadataValue(ValueType.INT32, 4)}, "llama.block_count: has type INT32"),
        ({"llama.embedding_length": uint32(64)}, "tensor 'token_embd.weight': shape (288, 128)"),
        ({"llama.attention.head_count": uint32(0)}, "llama.attention.head_count: 0 heads"),
        ({"llama.attention.head_count": uint32_array((4,))}, "llama.attention.head_count: 1 values"),
        ({"llama.attention.head_count": uint32_array(())}, "llama.attention.head_count: an array"),
        ({"llama.attention.head_count_kv": uint32(3)}, "llama.attention.head_count_kv: 3 does not"),
        ({"llama.attention.value_length": uint32(16)}, "llama.attention.value_length: 16"),
        ({"llama.attention.key_length_swa": uint32(16)}, "llama.attention.key_length_swa: 16"),
        ({"llama.rope.dimension_count": uint32(16)}, "llama.rope.dimension_count: 16"),
        ({"llama.rope.scaling.type": string("odd")}, "llama.rope.scaling.type: 'odd'"),
        ({"llama.expert_used_count": uint32(2)}, "llama.expert_used_count: 2 of 0"),
        ({"llama.expert_count": uint32(8)}, "llama.expert_used_count: 0 of 8"),
        ({"llama.expert_count": uint32(2000)}, "llama.expert_count: 2000"),
        ({"llama.expert_group_count": uint32(1)}, "llama.expert_group_count: 1"),
        ({"llama.attention.sliding_window": uint32(2**31)}, "llama.attention.sliding_window: over"),
        ({"tokenizer.ggml.tokens": uint32_array((1,))}, "tokenizer.ggml.tokens: 1 tokens for 288"),
    ],
)
def test_what_libllama_would_abort_at_is_refused_and_named(
    changes: dict[str, MetadataValue | None], field: str
) -> None:
    header = with_keys(header_of(TinyModel()), changes)
    with pytest.raises(ModelFileError) as caught:
        cut(header, 0, 2)
    assert f"{header.path}: {field}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("token_embd.weight", {"shape": (288, 64)}, "shape (288, 64)"),
        ("output.weight", {"shape": (32, 128)}, "shape (32, 128)"),
        ("blk.1.attn_norm.weight", {"type": tensor_type("F16")}, "a vector of type F16"),
        ("blk.1.attn_q.weight", {"type": tensor_type("I32")}, "type I32 cannot hold weights"),
        ("blk.1.ffn_up.weight", {"type": tensor_type("Q8_1")}, "type Q8_1 cannot hold weights"),
    ],
)
def test_tensors_of_a_wrong_shape_or_type_are_refused(name: str, change: dict[str, Any], why: str) -> None:
    header = header_of(TinyModel())
    infos = tuple(replace(info, **change) if info.name == name else info for info in header.tensors)
    with pytest.raises(ModelFileError) as caught:
        cut(replace(header, tensors=infos), 0, 2)
    assert f"tensor '{name}': {why}" in str(caught.value)


@pytest.mark.parametrize("name", ["token_embd.weight", "output_norm.weight"])
def test_a_missing_tensor_is_named(name: str) -> None:
    header = header_of(TinyModel())
    infos = tuple(info for info in header.tensors if info.name != name)
    with pytest.raises(ModelFileError, match=f"tensor '{name}': missing"):
        cut(replace(header, tensors=infos), 0, 2)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (uint32_array((1, 0)), "2 values for 4 layers"),
        (uint32_array((0, 0, 0, 0)), "no layer uses the sliding window"),
        (uint32(1), "no layer uses the sliding window"),
        (string("x"), "has type STRING, must be UINT32"),
        (MetadataValue(ValueType.ARRAY, MetadataArray(ValueType.INT8, 4, bytes(4))), "values of INT8"),
    ],
)
def test_a_wrong_sliding_pattern_is_refused(pattern: MetadataValue, why: str) -> None:
    header = header_of(TinyModel("gemma3", window=4))
    with pytest.raises(ModelFileError, match=f"sliding_window_pattern: {why}"):
        cut(with_keys(header, {"gemma3.attention.sliding_window_pattern": pattern}), 0, 2)


def test_an_alignment_that_libllama_cannot_map_is_refused() -> None:
    header = replace(header_of(TinyModel()), alignment=16)
    with pytest.raises(UnsupportedModelError, match=r"general.alignment is 16"):
        legal_cuts(header)

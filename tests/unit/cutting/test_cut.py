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

from cluster.api.errors import ModelFileError, UnsupportedModelError, UsageError
from cluster.cutting.boundary import Boundary, boundaries
from cluster.cutting.cut import SlicePlan, cut, header_alone
from cluster.cutting.cuts import legal_cuts
from cluster.cutting.header import Header, read_header
from cluster.cutting.rules import check, layer_of
from ggml.gguf.header import TensorInfo
from ggml.gguf.tensor_types import tensor_type
from ggml.gguf.value import MetadataArray, MetadataValue, ValueType, string, string_array, uint32, uint32_array
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.native.arch_models import descriptions, lengthened, metadata_from
from tests.native.architectures_page import header_of as tiny_header

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


def strings(plan: SlicePlan, key: str) -> list[str]:
    found = plan.metadata[key].value
    assert isinstance(found, MetadataArray)
    return [text.decode() for text in found.strings()]


@cache
def layers_of(name: str, num_layers: int) -> Header:
    """A tiny model's header with more layers."""
    description = lengthened(descriptions()[name], num_layers)
    infos = [TensorInfo(found, tuple(shape), tensor_type("F32"), 0, 4) for found, shape, _ in description["tensors"]]
    return replace(tiny_header(name), metadata=metadata_from(description), tensors=tuple(infos))


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
    first, middle, last = (cut(check(header), start, start + 1) for start in range(3))
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
    assert sources[1] == zeros | rope
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
    plan = cut(check(header), 1, 3, model_hash="ab12")
    role = {key.removeprefix(f"{ROLE}."): plan.metadata[key] for key in plan.metadata if key.startswith(ROLE)}
    assert role == {
        "first": uint32(1),
        "end": uint32(3),
        "num_layers": uint32(4),
        "vocab_size": uint32(288),
        "hidden_width": uint32(128),
        "inputs": string_array(("embd",)),
        "outputs": string_array(("l_out-1",)),
        "model_hash": string("ab12"),
    }
    assert value(plan, "qwen2.block_count") == 2
    assert value(plan, "tokenizer.ggml.model") == "none"
    assert not any(key.startswith("tokenizer.ggml.tokens") for key in plan.metadata)


@settings(max_examples=30)
@given(st.data())
def test_every_layer_tensor_is_in_exactly_one_slice(data: st.DataObject) -> None:
    header = layers_header(7, TinyModel("qwen3", width=32, num_heads=2, feed_forward=32))
    cuts = data.draw(st.sets(st.sampled_from(legal_cuts(check(header)))))
    found = []
    for first, end in pairwise([0, *sorted(cuts), 7]):
        for info in cut(check(header), first, end).tensors:
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
    plan = cut(check(header), 0, 3)
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
    plan = cut(check(header), 1, 3)
    assert value(plan, "llama.attention.head_count") == [4, 4]
    assert value(plan, "llama.rope.dimension_sections") == [1, 2, 3, 4]


def test_the_sliding_pattern_follows_the_layers() -> None:
    header = header_of(TinyModel("gemma3", num_layers=7, window=4))
    pattern = "gemma3.attention.sliding_window_pattern"
    assert value(cut(check(header), 4, 7), pattern) == [1, 0, 1]
    header = with_keys(header, {pattern: uint32(2)})
    assert value(cut(check(header), 1, 4), pattern) == [0, 1, 0]
    only_full = cut(check(header), 1, 2)
    assert pattern not in only_full.metadata
    assert "gemma3.attention.sliding_window" not in only_full.metadata


def test_a_vocabulary_file_has_all_metadata_and_no_tensors() -> None:
    header = header_of(TinyModel())
    plan = header_alone(header, header.num_layers)
    assert (plan.metadata, plan.tensors, plan.file_bytes) == (header.metadata, (), len(plan.header_bytes))


@pytest.mark.parametrize("bounds", [(0, 0), (2, 1), (-1, 2), (0, 4), (3, 4), (1, 1)])
def test_impossible_ranges_are_refused(bounds: tuple[int, int]) -> None:
    header = header_of(TinyModel(num_layers=3))
    with pytest.raises(UsageError, match=r"layers \[.*the model has layers \[0, 3\)"):
        cut(check(header), *bounds)


@pytest.mark.parametrize(
    ("name", "why"), [("falcon9", "known are afmoe, .*xverse"), ("plm", "libllama stops the process")]
)
def test_other_architectures_are_refused_by_name(name: str, why: str) -> None:
    header = header_of(TinyModel(name))
    with pytest.raises(UnsupportedModelError, match=f"architecture '{name}' cannot be cut: .*{why}"):
        check(header)


WITH_FACTORS = ("gemma2-27b", "gemma3-27b", "minicpm3-dense", "minimax-01-moe")


@pytest.mark.parametrize("name", WITH_FACTORS)
def test_what_libllama_derives_from_the_number_of_layers_is_written_into_slices(name: str) -> None:
    model = check(tiny_header(name))
    num_layers = model.num_layers
    assert legal_cuts(model) == tuple(range(1, num_layers))
    assert f"{ROLE}.scales" not in cut(model, 0, num_layers).metadata
    plan = cut(model, 2, 5)
    assert value(plan, f"{model.architecture}.block_count") == len(value(plan, f"{ROLE}.scales"))
    assert strings(plan, f"{ROLE}.scaled") == list(model.row.factor.scaled if model.row.factor else ())


@pytest.mark.parametrize(
    ("name", "own", "derived"),
    [
        ("gemma2-27b", [48**-0.5] * 3, [32**-0.5] * 3),  # a model of 96 with two heads, which are 32 wide
        ("gemma3-27b", [48**-0.5] * 3, [32**-0.5] * 3),
        ("minicpm3-dense", [1.4 / 8**0.5] * 3, [1.4 / 3**0.5] * 3),
    ],
)
def test_factors_are_those_of_the_model(name: str, own: list[float], derived: list[float]) -> None:
    plan = cut(check(tiny_header(name)), 2, 5)
    assert value(plan, f"{ROLE}.scales") == pytest.approx(own, rel=1e-7)
    assert value(plan, f"{ROLE}.derived_scales") == pytest.approx(derived, rel=1e-7)


def test_only_layers_with_a_state_have_a_factor_of_decay() -> None:
    """Each second layer keeps keys and values. A stand-in for one, or for a state, has no factor either."""
    model = check(tiny_header("minimax-01-moe"))
    several, lone = cut(model, 1, 5), cut(model, 4, 5)
    nothing = float("nan")
    assert value(several, f"{ROLE}.scales") == pytest.approx(
        [nothing, 5 / 7 + 1e-5, nothing, 3 / 7 + 1e-5], nan_ok=True
    )
    assert value(several, f"{ROLE}.derived_scales") == pytest.approx([1 + 1e-5, 2 / 3 + 1e-5, 1 / 3 + 1e-5, 1e-5])
    assert value(lone, f"{ROLE}.scales") == pytest.approx([3 / 7 + 1e-5, nothing], nan_ok=True)
    assert f"{ROLE}.scales" not in cut(model, 7, 8).metadata


def test_a_factor_that_libllama_derives_by_itself_is_left_to_it() -> None:
    assert f"{ROLE}.scales" not in cut(check(tiny_header("gemma3-dense")), 0, 4).metadata


@pytest.mark.parametrize(("name", "twin"), [("baichuan-rotary", "llama"), ("baichuan-alibi", "refact")])
def test_slices_call_themselves_what_has_the_same_graph_for_fewer_layers(name: str, twin: str) -> None:
    header = tiny_header(name)
    model = check(header)
    assert legal_cuts(model) == tuple(range(1, model.num_layers))
    plan, whole = cut(model, 0, 5), cut(model, 0, model.num_layers)
    assert (value(plan, "general.architecture"), value(whole, "general.architecture")) == (twin, "baichuan")
    assert value(plan, f"{twin}.block_count") == 5
    assert value(plan, f"{twin}.attention.head_count") == value(whole, "baichuan.attention.head_count")
    assert not any("baichuan" in key for key in plan.metadata)
    left_out = {info.name for info in whole.tensors} - {info.name for info in plan.tensors}
    scales = {f"blk.{layer}.ffn_{part}.scale" for layer in range(5) for part in ("gate", "up", "down")}
    assert {name for name in left_out if layer_of(name) in {layer_of(scale) for scale in scales}} == scales


def test_other_numbers_of_layers_are_not_renamed() -> None:
    header = layers_of("baichuan-dense", 42)
    assert legal_cuts(check(header)) == (1, *range(3, 10), *range(11, 42))
    plan = cut(check(header), 0, 32)
    assert (value(plan, "general.architecture"), value(plan, "baichuan.block_count")) == ("baichuan", 33)


def test_llama4_without_windows_is_refused_before_libllama_stops_the_process() -> None:
    header = with_keys(tiny_header("llama4-moe"), {"llama4.attention.sliding_window": uint32(0)})
    with pytest.raises(UnsupportedModelError, match=r"last layer \(llama4.attention.sliding_window is 0\)"):
        check(header)


def test_a_slice_of_64_layers_gets_one_more() -> None:
    """Zeros behind its own layers, which the graph does not reach; the last slice cannot have them."""
    longer = layers_of("exaone4-dense", 66)
    assert legal_cuts(check(longer)) == (1, *range(3, 66))
    with pytest.raises(UnsupportedModelError, match="in front of layer 2: libllama computes 64 layers"):
        cut(check(longer), 2, 66)
    plan = cut(check(longer), 0, 64)
    assert (value(plan, "exaone4.block_count"), value(plan, f"{ROLE}.end")) == (65, 64)
    assert strings(plan, f"{ROLE}.outputs") == ["l_out-63"]
    stand_in = [info for info in plan.tensors if info.name.startswith("blk.64.")]
    assert stand_in and all(info.source_offset is None for info in stand_in)


def test_slices_of_exaone4_of_64_layers_say_which_of_them_slide() -> None:
    large = layers_of("exaone4-dense", 64)
    window, pattern = "exaone4.attention.sliding_window", "exaone4.attention.sliding_window_pattern"
    assert legal_cuts(check(large)) == tuple(range(1, 64))
    plan = cut(check(large), 2, 7)
    assert (value(plan, f"{ROLE}.window"), value(plan, f"{ROLE}.slides")) == (32, [1, 0, 1, 1, 1])
    assert not {window, pattern} & set(plan.metadata)
    assert value(cut(check(with_keys(large, {window: None})), 0, 1), f"{ROLE}.window") == 4096
    flags = uint32_array((1, 1) + (0,) * 62)
    assert value(cut(check(with_keys(large, {pattern: flags})), 1, 3), f"{ROLE}.slides") == [1, 0]
    with pytest.raises(ModelFileError, match="sliding_window: is 0, but layers slide"):
        check(with_keys(large, {window: uint32(0)}))
    whole, smaller = cut(check(large), 0, 64), cut(check(layers_of("exaone4-dense", 63)), 0, 9)
    assert not any(key in (f"{ROLE}.window", f"{ROLE}.slides") for key in (*whole.metadata, *smaller.metadata))


def test_a_hybrid_slice_gets_a_layer_of_the_kind_it_lacks() -> None:
    """Layer 1 alone keeps a running state. The last slice has its stand-in in front, and rows enter behind it."""
    header = tiny_header("kimi-linear-moe")
    middle, last = cut(check(header), 2, 4), cut(check(header), 5, 8)
    assert [value(plan, "kimi-linear.attention.head_count_kv") for plan in (middle, last)] == [[1, 1, 0], [0, 1, 1, 1]]
    assert [value(plan, "kimi-linear.attention.head_count") for plan in (middle, last)] == [[1, 1, 0], [1, 1, 1, 1]]
    assert [strings(plan, f"{ROLE}.outputs") for plan in (middle, last)] == [["l_out-1"], ["l_out-3"]]
    assert [strings(plan, f"{ROLE}.inputs") for plan in (middle, last)] == [["model.embed_tokens"], ["l_out-0"]]
    zeros = {info.name.split(".")[1] for info in last.tensors if info.source_offset is None and "blk." in info.name}
    assert zeros == {"0"}


def test_rows_may_be_wider_than_the_model() -> None:
    streams, talkie = cut(check(tiny_header("hy_v4-moe")), 2, 4), cut(check(tiny_header("talkie-dense")), 2, 4)
    assert value(streams, f"{ROLE}.hidden_width") == 4 * 128
    assert value(talkie, f"{ROLE}.hidden_width") == 2 * 256
    assert strings(talkie, f"{ROLE}.inputs") == ["inp_norm", "inp_norm@ffn_inp-0"]


def test_boundaries_name_the_tensors_of_the_whole_graph() -> None:
    assert boundaries(check(tiny_header("llama-dense")), (1, 4)) == (
        Boundary(1, ("l_out-0",), 256),
        Boundary(4, ("l_out-3",), 256),
    )
    assert boundaries(check(tiny_header("step35-moe")), (3,))[0].tensors == ("attn_norm_in-3",)
    assert boundaries(check(tiny_header("deepseek4-moe")), (2,)) == (Boundary(2, ("l_last-1",), 4 * 512),)
    assert boundaries(check(tiny_header("talkie-dense")), (2,)) == (Boundary(2, ("l_out-1", "inp_norm"), 256),)


def test_layers_that_predict_further_tokens_are_left_out() -> None:
    header = tiny_header("glm4moe-nextn")
    assert (header.num_layers, header.num_nextn_layers) == (8, 1)
    assert legal_cuts(check(header)) == tuple(range(1, 8))
    for plan in (cut(check(header), 0, 8), cut(check(header), 4, 8)):
        assert value(plan, "glm4moe.nextn_predict_layers") == 0
        assert not any("nextn" in info.name for info in plan.tensors)
    assert value(cut(check(header), 0, 8), "glm4moe.block_count") == 8
    assert [value(cut(check(header), first, 8), "glm4moe.leading_dense_block_count") for first in (0, 1)] == [1, 0]


def test_a_layer_that_adds_the_embedding_once_more_is_no_place_behind_a_cut() -> None:
    header = tiny_header("granite-deepstack")
    assert legal_cuts(check(header)) == tuple(range(1, 8))
    mapping = MetadataValue(ValueType.ARRAY, MetadataArray(ValueType.INT32, 3, bytes(4) + b"\xff" * 4 + bytes(4)))
    assert legal_cuts(check(with_keys(header, {"granite.deepstack_mapping": mapping}))) == ()


@pytest.mark.parametrize("name", ["odd", "classifier.output_labels", "rope.odd"])
@pytest.mark.parametrize(
    "found", [uint32_array((1, 2, 3, 4)), uint32_array(()), string_array(()), string_array(("a",))]
)
def test_an_array_that_matters_for_nothing_stays_as_it_is(name: str, found: MetadataValue) -> None:
    header = with_keys(header_of(TinyModel()), {f"llama.{name}": found})
    assert legal_cuts(check(header)) == (1, 2, 3)
    assert cut(check(header), 1, 3).metadata[f"llama.{name}"] == found


@pytest.mark.parametrize("name", ["swiglu_clamp_exp", "attention.rope_pattern", "attention.indexer.types"])
def test_an_empty_array_counts_as_absent_where_it_is_not_read(name: str) -> None:
    header = with_keys(header_of(TinyModel()), {f"llama.{name}": uint32_array(())})
    assert legal_cuts(check(header)) == (1, 2, 3)


@pytest.mark.parametrize("name", ["attention.head_count", "attention.head_count_kv"])
def test_an_empty_array_that_is_read_is_too_short(name: str) -> None:
    header = with_keys(header_of(TinyModel()), {f"llama.{name}": uint32_array(())})
    with pytest.raises(ModelFileError, match=rf"llama.{name}: 0 values for 4 layers"):
        legal_cuts(check(header))


@settings(max_examples=40)
@given(st.data())
def test_no_slice_of_any_cuts_has_a_special_number_of_layers(data: st.DataObject) -> None:
    num_layers = data.draw(st.integers(28, 64))
    header = layers_of("deepseek2-moe", num_layers)
    cuts = data.draw(st.sets(st.sampled_from(legal_cuts(check(header)))))
    for first, end in pairwise([0, *sorted(cuts), num_layers]):
        assert (
            value(cut(check(header), first, end), "deepseek2.block_count") not in (26, 27) or end - first == num_layers
        )


BOOL_FALSE = MetadataValue(ValueType.BOOL, False)
F32_VECTOR = TensorInfo("dense_2.weight", (4, 4), tensor_type("F32"), 0, 64)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"general.type": string("adapter")}, "general.type is 'adapter'"),
        ({"ggml_cluster.slice.first": uint32(0)}, "is itself a slice"),
        ({"llama.pooling_type": uint32(5)}, "its pooling_type is 5; known are 0, 1, 2, 3, 4"),
        ({"llama.attention.causal": BOOL_FALSE}, "not causal"),
        ({"general.tensor_extra.name": string("x")}, "precision of single tensors"),
        ({"llama.attention.head_count": uint32_array((4, 2, 4, 4))}, "head_count differs"),
        ({"llama.feed_forward_length": uint32_array((1, 2, 3, 4))}, "feed_forward_length differs"),
    ],
)
def test_what_cannot_be_exact_is_refused(changes: dict[str, MetadataValue | None], why: str) -> None:
    header = with_keys(header_of(TinyModel()), changes)
    with pytest.raises(UnsupportedModelError, match=f"architecture 'llama' cannot be cut: .*{why}"):
        cut(check(header), 0, 2)


@pytest.mark.parametrize(
    "name", ["dense_2.weight", "blk.01.attn_q.weight", "blk.x.attn_q.weight", "blk.1", "outputs.bias"]
)
def test_a_tensor_without_a_rule_is_refused(name: str) -> None:
    header = with_tensors(header_of(TinyModel()), replace(F32_VECTOR, name=name))
    with pytest.raises(UnsupportedModelError, match=f"no rule says where tensor '{name}' belongs"):
        legal_cuts(check(header))


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
        ({"llama.attention.head_count": uint32_array(())}, "llama.attention.head_count: 0 values"),
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
        cut(check(header), 0, 2)
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
        cut(check(replace(header, tensors=infos)), 0, 2)
    assert f"tensor '{name}': {why}" in str(caught.value)


def test_a_missing_tensor_is_named(name: str = "token_embd.weight") -> None:
    header = header_of(TinyModel())
    infos = tuple(info for info in header.tensors if info.name != name)
    with pytest.raises(ModelFileError, match=f"tensor '{name}': missing"):
        cut(check(replace(header, tensors=infos)), 0, 2)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (uint32_array((1, 0)), "2 values of UINT32 for 4 layers"),
        (uint32_array((0, 0, 0, 0)), "no layer uses the sliding window"),
        (uint32(1), "no layer uses the sliding window"),
        (string("x"), "has type STRING, must be UINT32"),
        (MetadataValue(ValueType.ARRAY, MetadataArray(ValueType.INT8, 4, bytes(4))), "values of INT8"),
    ],
)
def test_a_wrong_sliding_pattern_is_refused(pattern: MetadataValue, why: str) -> None:
    header = header_of(TinyModel("gemma3", window=4))
    with pytest.raises(ModelFileError, match=f"sliding_window_pattern: {why}"):
        cut(check(with_keys(header, {"gemma3.attention.sliding_window_pattern": pattern})), 0, 2)


def test_an_alignment_that_libllama_cannot_map_is_refused() -> None:
    header = replace(header_of(TinyModel()), alignment=16)
    with pytest.raises(UnsupportedModelError, match=r"general.alignment is 16"):
        legal_cuts(check(header))

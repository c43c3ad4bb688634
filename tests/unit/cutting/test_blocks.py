"""Rows that bring along what blocks in front left, and slices that keep the numbers of their layers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.api.errors import UnsupportedModelError
from cluster.cutting import limits
from cluster.cutting.boundary import Boundary, boundaries
from cluster.cutting.cut import SlicePlan, cut
from cluster.cutting.cuts import legal_cuts
from cluster.cutting.header import Header
from cluster.cutting.model import Model
from cluster.cutting.rules import check
from cluster.wire.limits import MAX_HIDDEN_WIDTH
from ggml.gguf.value import MetadataArray, uint32
from tests.native.architectures_page import header_of


def model_of(name: str) -> Model:
    return check(header_of(name))


def with_block_size(size: int) -> Header:
    header = header_of("kimi-k3-blocks")
    return replace(header, metadata={**header.metadata, "kimi-k3.attn_res.block_size": uint32(size)})


def ports(plan: SlicePlan) -> tuple[list[str], list[str]]:
    """Where rows enter and leave."""
    found = [plan.metadata[f"ggml_cluster.slice.{name}"].value for name in ("inputs", "outputs")]
    names = [[name.decode() for name in value.strings()] for value in found if isinstance(value, MetadataArray)]
    return names[0], names[1]


def test_rows_bring_what_each_block_in_front_was_given() -> None:
    """Blocks of 8 layers begin at 0, 3 and 6; the rows in front of the last layer have a part of each."""
    model = model_of("kimi-k3-blocks")
    assert (model.row_width, legal_cuts(model)) == (4 * 128, tuple(range(1, 8)))
    assert boundaries(model, (3, 4, 7)) == (
        Boundary(3, ("l_out-2", "inp_embd"), 128, 2),
        Boundary(4, ("l_out-3", "inp_embd", "l_out-2"), 128, 1),
        Boundary(7, ("l_out-6", "inp_embd", "l_out-2", "l_out-5"), 128),
    )


def test_each_part_is_read_where_its_block_begins_and_handed_on_behind() -> None:
    model = model_of("kimi-k3-blocks")
    # A block that begins with the slice was given the rows that come in.
    assert ports(cut(model, 3, 5)) == (["l_out-2", "inp_embd", "", ""], ["l_out-4", "", "l_out-2", ""])
    assert ports(cut(model, 0, 4)) == (["inp_embd", "", "", ""], ["l_out-3", "inp_embd", "l_out-2", ""])
    assert ports(cut(model, 4, 7)) == (["l_out-3", "inp_embd", "l_out-2", ""], ["l_out-6", "", "", "l_out-5"])
    assert ports(cut(model, 4, 8))[0] == ["l_out-3", "inp_embd", "l_out-2", ""]


def test_a_block_longer_than_the_model_leaves_the_embedding_alone() -> None:
    model = check(with_block_size(2**32 - 1))
    assert model.row_width == 2 * 128
    assert boundaries(model, (7,)) == (Boundary(7, ("l_out-6", "inp_embd"), 128),)
    assert check(with_block_size(1)).row_width == 8 * 128
    assert check(with_block_size(0)).row_width == 128


def test_layers_in_front_are_small_and_take_no_disk() -> None:
    model = model_of("kimi-k3-blocks")
    plan = cut(model, 4, 6)
    assert plan.metadata["kimi-k3.block_count"].value == 6
    assert plan.metadata["kimi-k3.leading_dense_block_count"].value == 4
    assert plan.metadata["kimi-k3.feed_forward_length"].value == 32
    for layer, is_zero in enumerate((True, True, True, True, False, False)):
        own = [info for info in plan.tensors if info.name.startswith(f"blk.{layer}.")]
        assert all((info.source_offset is None) == is_zero for info in own)
        assert any("exps" in info.name for info in own) == (not is_zero)
        if is_zero:
            whole = sum(info.size_bytes for info in model.header.tensors if info.name.startswith(f"blk.{layer}."))
            assert sum(info.size_bytes for info in own) < whole / 8


def test_a_feed_forward_of_its_own_width_keeps_those_in_front_as_wide() -> None:
    """Of two dense layers in front the slice has one."""
    header = header_of("kimi-k3-blocks")
    keys = {**header.metadata, "kimi-k3.leading_dense_block_count": uint32(2)}
    plan = cut(check(replace(header, metadata=keys)), 1, 4)
    assert plan.metadata["kimi-k3.leading_dense_block_count"].value == 2
    assert plan.metadata["kimi-k3.feed_forward_length"].value == 192


def test_rows_that_no_step_may_carry_leave_the_model_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.MAX_ROW_WIDTH == MAX_HIDDEN_WIDTH
    monkeypatch.setattr("cluster.cutting.cuts.MAX_ROW_WIDTH", 511)
    model = model_of("kimi-k3-blocks")
    assert legal_cuts(model) == ()
    with pytest.raises(UnsupportedModelError, match="512 floats would go from slice to slice for each token"):
        cut(model, 0, 4)
    # Whole, nothing goes anywhere.
    assert cut(model, 0, 8).metadata["ggml_cluster.slice.hidden_width"].value == 128


def test_rows_of_several_matrices() -> None:
    """Layers 20 and on of gemma3n use the keys and values of 18 and 19."""
    model = model_of("gemma3n-dense")
    assert legal_cuts(model) == tuple(range(1, 19))
    planes = tuple(f"l_out-4[{plane}]" for plane in range(4))
    assert boundaries(model, (5,)) == (Boundary(5, (*planes, "inp_scaled"), 64),)
    assert ports(cut(model, 0, 5))[1] == [*planes, "inp_scaled"]
    assert ports(cut(model, 5, 9))[0] == [*planes, "inp_scaled"]
    assert ports(cut(model, 5, 9))[1][4] == ""
    assert cut(model, 5, 9).metadata["gemma3n.block_count"].value == 9

"""One embedding with a part for each layer, and layers that use the keys and values of others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cluster.api.errors import ModelFileError, UnsupportedModelError
from cluster.cutting.boundary import Boundary, boundaries
from cluster.cutting.cut import cut
from cluster.cutting.cuts import legal_cuts
from cluster.cutting.header import Header
from cluster.cutting.planned import PlannedTensor
from cluster.cutting.rules import check
from cluster.cutting.sizes import model_sizes
from ggml.gguf.tensor_types import tensor_type
from ggml.gguf.value import uint32
from tests.native.architectures_page import header_of

TABLE, PRODUCT = "per_layer_token_embd.weight", "per_layer_model_proj.weight"
SHARED = "gemma4.attention.shared_kv_layers"


def tensor(header: Header, first: int, end: int, name: str) -> PlannedTensor:
    return next(info for info in cut(check(header), first, end).tensors if info.name == name)


def with_shape(header: Header, name: str, shape: tuple[int, ...]) -> Header:
    tensors = (replace(info, shape=shape) if info.name == name else info for info in header.tensors)
    return replace(header, tensors=tuple(tensors))


def test_a_slice_has_the_parts_of_its_layers() -> None:
    header = header_of("gemma4-parts")
    start = {info.name: header.data_start + info.offset for info in header.tensors}
    # Layer 3 alone does not slide: these slices have one layer more, behind and in front of their own.
    for first, end, begin, num_layers in ((0, 3, 0, 4), (4, 6, 4, 3), (4, 8, 4, 4), (7, 8, 6, 2)):
        table, product = tensor(header, first, end, TABLE), tensor(header, first, end, PRODUCT)
        assert (table.shape, table.source_row_bytes) == ((128, 32 * num_layers), 32 * 8 * 4)
        assert table.source_offset == start[TABLE] + begin * 32 * 4
        assert table.size_bytes == 128 * 32 * num_layers * 4
        assert (product.shape, product.source_row_bytes) == ((32 * num_layers, 128), 0)
        assert product.source_offset == start[PRODUCT] + begin * 32 * 128 * 4


def test_rows_carry_the_embedding_where_parts_are_made_of_it() -> None:
    (found,) = boundaries(check(header_of("gemma4-parts")), (2,))
    assert found == Boundary(2, ("l_out-1", "inp_scaled"), 128)
    assert boundaries(check(header_of("gemma4-dense")), (2,)) == (Boundary(2, ("l_out-1",), 128),)


def test_parts_count_with_their_layers() -> None:
    f16 = tensor_type("f16")
    with_parts, bare = (model_sizes(check(header_of(f"gemma4-{kind}")), 64, f16, f16) for kind in ("parts", "dense"))
    of_layer = 4 * (128 * 32 + 32 * 128) + 4 * (32 * 128 + 128 * 32 + 128)
    assert [size - of_layer for size in with_parts.layer_bytes] == list(bare.layer_bytes)


@pytest.mark.parametrize(
    ("name", "shape"), [(TABLE, (128, 255)), (TABLE, (256,)), (PRODUCT, (128, 256)), (PRODUCT, (257, 128))]
)
def test_parts_of_another_shape_are_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelFileError, match=rf"tensor '{name}': shape .* must have 256 for all layers"):
        check(with_shape(header_of("gemma4-parts"), name, shape))


def test_parts_that_nothing_reads_are_refused() -> None:
    header = header_of("gemma4-parts")
    metadata = {**header.metadata, "gemma4.embedding_length_per_layer_input": uint32(0)}
    with pytest.raises(ModelFileError, match="is there, but embedding_length_per_layer_input is 0"):
        check(replace(header, metadata=metadata))


def test_parts_that_are_packed_together_leave_the_model_whole() -> None:
    header = header_of("gemma4-parts")
    packed = tensor_type("q4_K")
    tensors = (replace(info, type=packed) if info.name == TABLE else info for info in header.tensors)
    model = check(replace(header, tensors=tuple(tensors)))
    assert legal_cuts(model) == ()
    with pytest.raises(UnsupportedModelError, match="packs 256 values, and a layer has 32"):
        cut(model, 0, 2)


@pytest.mark.parametrize(("count", "cuts"), [(0, (1, 2, 3, 4, 5, 6, 7)), (4, (1, 2)), (3, None), (7, None), (8, None)])
def test_layers_that_share_stay_with_those_they_share_from(count: int, cuts: tuple[int, ...] | None) -> None:
    """Of 8 layers 3 and 7 do not slide: 4 and on use those of 2 and 3. Others have no pair in front of them."""
    header = header_of("gemma4-shared")
    header = replace(header, metadata={**header.metadata, SHARED: uint32(count)})
    if cuts is None:
        with pytest.raises(ModelFileError, match="shared_kv_layers"):
            check(header)
        return
    model = check(header)
    assert legal_cuts(model) == cuts
    assert model.attends == (True,) * (8 - count) + (False,) * count
    if count:
        with pytest.raises(UnsupportedModelError, match="layers from 4 on use the keys and values of layers from 2 on"):
            cut(model, 3, 8)


def test_only_the_last_slice_has_layers_that_share() -> None:
    model = check(header_of("gemma4-both"))
    shared: list[Any] = [cut(model, *part).metadata[SHARED].value for part in ((0, 2), (1, 2), (2, 8), (0, 8))]
    assert shared == [0, 0, 4, 4]
    stand_in = [info.name for info in cut(model, 0, 2).tensors if info.name.startswith("blk.2.")]
    assert "blk.2.attn_k.weight" in stand_in  # layer 7 has none

"""Where programs may be cut: what crosses, and where not."""

from __future__ import annotations

from dataclasses import replace

import pytest

import ggml
from ggml.core.dtypes import int64
from ggml.programs.graph import Node, Output, Ref, Role, TensorSpec
from ggml.programs.slices import places as module
from ggml.programs.slices.places import Place, cut_places, num_bytes_of, spec_of
from ggml.programs.slices.sizes import unit_sizes
from tests.ggml.programs.slices.graphs import ROWS, chain, node, program, user, weight, with_positions, with_state


def test_a_chain_is_cut_before_each_layer_but_the_first() -> None:
    """The hint is 3 rows of 3 elements. A place is in front of a product or of a relu: the first is taken."""
    assert cut_places(chain(3)) == (Place(1, (4,), 36), Place(3, (6,), 36))


@pytest.mark.parametrize("num_layers", [0, 1])
def test_too_little_is_not_cut(num_layers: int) -> None:
    assert cut_places(chain(num_layers)) == ()


def test_positions_cross_but_not_what_follows_from_them() -> None:
    found = cut_places(with_positions())
    assert [place.values for place in found] == [(1, 8)], "the positions, and the first layer's product"
    assert found[0].num_bytes == 36, "what was given weighs nothing: it may go another way"


def test_a_skip_around_everything_leaves_no_place() -> None:
    """Two computed tensors cross wherever it is cut."""
    whole = program(
        [user("x"), *[weight(f"w{number}") for number in range(3)]],
        [
            node("mm.default", Ref(0), Ref(1)),
            node("mm.default", Ref(4), Ref(2)),
            node("mm.default", Ref(5), Ref(3)),
            node("add.Tensor", Ref(6), Ref(4)),
        ],
        [Output("y", Role.USER, Ref(7))],
    )
    assert [place.values for place in cut_places(whole)] == [(4,)], "only before the skip divides"


def test_of_two_crossing_tensors_a_valley_is_taken() -> None:
    narrow, wide = TensorSpec(ROWS.dtype, (3, 1)), TensorSpec(ROWS.dtype, (3, 9))
    whole = program(
        [user("x", TensorSpec(ROWS.dtype, (3, 3))), weight("w0", TensorSpec(ROWS.dtype, (3, 9))),
         weight("w1", TensorSpec(ROWS.dtype, (9, 1))), weight("w2", TensorSpec(ROWS.dtype, (1, 9)))],
        [
            node("mm.default", Ref(0), Ref(1), spec=wide),  # 4
            node("relu.default", Ref(4), spec=wide),  # 5
            node("mm.default", Ref(5), Ref(2), spec=narrow),  # 6
            node("neg.default", Ref(6), spec=narrow),  # 7
            node("mm.default", Ref(7), Ref(3), spec=wide),  # 8
            node("add.Tensor", Ref(8), Ref(6), spec=wide),  # 9
        ],
        [Output("y", Role.USER, Ref(9))],
    )  # fmt: skip
    assert all(len(place.values) == 1 for place in cut_places(whole))


def test_no_place_between_the_reading_and_the_writing_of_a_state() -> None:
    near = cut_places(with_state())
    assert [place.node for place in near] == [1, 3]
    assert cut_places(with_state(reads_again_at_the_end=True)) == (Place(1, (5,), 36),)


def test_each_unit_has_weights() -> None:
    whole = chain(2)
    more = [node("relu.default", Ref(len(whole.inputs) + len(whole.nodes) + place - 1)) for place in range(5)]
    outputs = (Output("y", Role.USER, Ref(len(whole.inputs) + len(whole.nodes) + 4)),)
    found = cut_places(replace(whole, nodes=(*whole.nodes, *more), outputs=outputs))
    assert [place.node for place in found] == [1]


def test_no_place_where_several_results_of_one_node_cross() -> None:
    pair = Node("aten.split.Tensor", (Ref(3), 2), specs=(ROWS, ROWS), is_tuple=True)
    whole = program(
        [user("x"), weight("w0"), weight("w1")],
        [
            node("mm.default", Ref(0), Ref(1)),
            pair,
            Node("getitem", (Ref(4), 0), specs=(ROWS,)),
            node("mm.default", Ref(5), Ref(2)),
        ],
        [Output("y", Role.USER, Ref(6))],
    )
    assert spec_of(whole, 4) is None
    assert [place.node for place in cut_places(whole)] == [1]


def test_of_too_many_places_as_many_are_left_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    every = cut_places(chain(12))
    monkeypatch.setattr(module, "MAX_PLACES", 4)
    assert cut_places(chain(12)) == every[::3]


def test_bytes_follow_the_extents() -> None:
    assert num_bytes_of(ROWS, (5,)) == 60
    assert num_bytes_of(TensorSpec(int64, ()), ()) == 8


def test_sizes_of_units() -> None:
    whole = chain(3)
    found = unit_sizes(whole, cut_places(whole), {"w0": 100, "w1": 20, "w2": 3})
    assert [unit.weight_bytes for unit in found] == [100, 20, 3]
    # 3 rows of 3 elements, 3 multiplications and additions each; a relu takes one for each element.
    assert [unit.work for unit in found] == [54, 63, 72]
    assert [unit.state_bytes for unit in found] == [0, 0, 0]


def test_work_is_what_products_compute_whichever_way_their_weights_lie() -> None:
    """A product with [in, out] takes as long as a linear layer of [out, in]."""
    rows, wide = TensorSpec(ROWS.dtype, (4, 8)), TensorSpec(ROWS.dtype, (4, 32))
    for op, shape in (("mm.default", (8, 32)), ("linear.default", (32, 8))):
        whole = program(
            [user("x", rows), weight("w", TensorSpec(ROWS.dtype, shape))],
            [node(op, Ref(0), Ref(1), spec=wide)],
            [Output("y", Role.USER, Ref(2))],
        )
        (unit,) = unit_sizes(whole, (), {"w": 1})
        assert unit.work == 2 * 4 * 8 * 32, op


def test_the_state_counts_in_the_unit_that_keeps_it() -> None:
    whole = with_state()
    found = unit_sizes(whole, cut_places(whole), {"w0": 1, "w1": 1, "w2": 1})
    assert [unit.state_bytes for unit in found] == [0, 36, 0]


def test_a_weight_that_two_units_read_counts_once() -> None:
    whole = chain(3)
    shared = replace(whole, nodes=(*whole.nodes[:4], replace(whole.nodes[4], args=(Ref(7), Ref(1))), whole.nodes[5]))
    assert [unit.weight_bytes for unit in unit_sizes(shared, cut_places(whole), {"w0": 5, "w1": 3, "w2": 9})] == [
        5,
        3,
        0,
    ]


def test_of_several_places_the_one_that_least_crosses() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")
    conv = [torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(4), torch.nn.Conv2d(8, 4, 3)]
    exported = torch.export.export(torch.nn.Sequential(*conv).eval(), (torch.zeros(1, 3, 32, 32),))
    (place,) = cut_places(ggml.export.lower(exported, require="ggml").graph)
    assert place.num_bytes == 8 * 8 * 8 * 4, "behind the pooling, not before it"

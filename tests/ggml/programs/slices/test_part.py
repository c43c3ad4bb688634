"""The graph of a slice: its inputs, nodes and outputs, and that it is a sound program."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ggml.programs.checking import check
from ggml.programs.decoding import decode
from ggml.programs.encoding import encode
from ggml.programs.graph import Graph, Output, Ref, Role
from ggml.programs.slices.part import output_names, part
from ggml.programs.slices.places import cut_places
from ggml.programs.trees import LEAF, Tree
from tests.ggml.programs.slices.graphs import chain, with_positions, with_state

GRAPHS = {
    "chain": chain(4), "positions": with_positions(), "state": with_state(), "state to the end": with_state(True),
}  # fmt: skip


def names(graph: Graph, role: Role) -> list[str]:
    return [one.name for one in graph.inputs if one.role is role]


@pytest.mark.parametrize("name", GRAPHS)
def test_every_slice_is_a_sound_program_that_files_can_hold(name: str) -> None:
    graph = GRAPHS[name]
    places = cut_places(graph)
    for first in range(len(places) + 1):
        for end in range(first + 1, len(places) + 2):
            found = part(graph, places, first, end)
            check(found, "slice")
            assert decode(encode(found), "slice") == found


@pytest.mark.parametrize("name", GRAPHS)
def test_what_one_slice_gives_the_next_one_takes(name: str) -> None:
    graph = GRAPHS[name]
    places = cut_places(graph)
    for cut in range(1, len(places) + 1):
        before, behind = part(graph, places, 0, cut), part(graph, places, cut, len(places) + 1)
        assert set(before.out_tree.keys) == set(names(behind, Role.USER))
        assert before.out_tree.keys == tuple(one.name for one in before.outputs if one.role is Role.USER)


def test_weights_are_where_they_are_read() -> None:
    graph = chain(3)
    places = cut_places(graph)
    assert [names(part(graph, places, unit, unit + 1), Role.WEIGHT) for unit in range(3)] == [["w0"], ["w1"], ["w2"]]


def test_positions_are_worked_out_in_both_slices() -> None:
    graph = with_positions()
    places = cut_places(graph)
    first, second = part(graph, places, 0, 1), part(graph, places, 1, 2)
    assert [one.op for one in first.nodes] == ["aten.mm.default"], "only what it needs"
    assert [one.op for one in second.nodes] == [
        "aten.to.dtype", "aten.mul.Tensor", "aten.unsqueeze.default", "aten.add.Tensor", "aten.mm.default",
        "aten.add.Tensor",
    ]  # fmt: skip
    assert names(second, Role.WEIGHT) == ["frequency", "w1"]
    assert first.out_tree.keys == ("positions", "value.8")


def test_a_state_is_on_one_side_alone() -> None:
    graph = with_state()
    places = cut_places(graph)
    kept = [names(part(graph, places, unit, unit + 1), Role.STATE) for unit in range(len(places) + 1)]
    assert kept == [[], ["total"], []]
    written = [one.name for one in part(graph, places, 1, 2).outputs if one.role is Role.STATE]
    assert written == ["total"]


def test_a_state_that_the_result_shows_is_in_the_last_slice() -> None:
    graph = with_state()
    shown = replace(graph, outputs=(Output("y", Role.USER, Ref(4)), graph.outputs[1]))
    places = cut_places(shown)
    assert len(places) == 1
    assert names(part(shown, places, 0, 1), Role.STATE) == []
    last = part(shown, places, 1, 2)
    check(last, "slice")
    assert names(last, Role.STATE) == ["total"]


def test_the_whole_range_is_the_whole_program_by_name() -> None:
    graph = chain(3)
    whole = part(graph, cut_places(graph), 0, 3)
    assert (whole.inputs, whole.nodes) == (graph.inputs, graph.nodes)
    assert whole.out_tree == Tree("dict", (LEAF,), ("output",))


def test_results_are_named_by_their_place() -> None:
    tree = Tree(
        "dict", (LEAF, Tree("tuple", (LEAF, Tree("none"), Tree("list", (LEAF,)))), Tree("tuple")), ("a", "b", "c")
    )
    assert list(output_names(tree)) == ["a", "b.0", "b.2.0"]
    assert list(output_names(LEAF)) == ["output"]
    assert list(output_names(Tree("tuple"))) == []

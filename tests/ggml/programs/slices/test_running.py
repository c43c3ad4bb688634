"""Slices that run: one behind the other they give bit for bit what the whole program gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import ggml
from ggml.core.errors import ArgumentError, DTypeError, GgmlError, ShapeMismatchError, StateDictError
from ggml.programs.graph import Graph, Output, Ref, Role
from ggml.programs.program import Program
from ggml.programs.slices.part import part
from ggml.programs.slices.places import cut_places
from ggml.programs.slices.running import Slice
from ggml.programs.trees import LEAF, Tree
from tests.ggml.programs.slices.graphs import (
    chain,
    given_for,
    slices,
    tensors_for,
    through,
    with_positions,
    with_state,
)  # fmt: skip


def result(graph: Graph, given: dict[str, ggml.Tensor]) -> Any:
    return Program(graph, tensors_for(graph))(*given.values()).numpy()


@pytest.mark.parametrize("name", ["chain", "positions"])
@pytest.mark.parametrize("num_rows", [1, 3, 8])
def test_slices_equal_the_whole(name: str, num_rows: int) -> None:
    graph = {"chain": chain(4), "positions": with_positions()}[name]
    places, tensors = cut_places(graph), tensors_for(graph)
    given = given_for(graph, [num_rows])
    wanted = result(graph, given)
    assert np.abs(wanted).max() > 0
    last = len(places) + 1
    for bounds in [(0, last), *[(0, cut, last) for cut in range(1, last)], tuple(range(last + 1))]:
        found = through(slices(graph, places, tensors, bounds), given, [num_rows])
        assert list(found) == ["output"]
        np.testing.assert_array_equal(found["output"].numpy(), wanted)


def test_states_go_on_from_call_to_call_and_back() -> None:
    graph = with_state()
    places, tensors, given = cut_places(graph), tensors_for(graph), given_for(graph, [3])
    whole = Program(graph, tensors_for(graph))
    parts = slices(graph, places, tensors, range(len(places) + 2))
    wanted = [whole(*given.values()).numpy().copy() for _ in range(3)]
    assert not np.array_equal(wanted[0], wanted[1])
    for one in wanted:
        np.testing.assert_array_equal(through(parts, given, [3])["output"].numpy(), one)
    for one in parts:
        one.reset()
    np.testing.assert_array_equal(through(parts, given, [3])["output"].numpy(), wanted[0])
    assert [one.state_bytes for one in parts] == [0, 36, 0]
    assert [one.weight_bytes for one in parts] == [36, 36, 36]


def test_what_goes_through_is_not_copied() -> None:
    graph = with_positions()
    one = Slice(part(graph, cut_places(graph), 0, 1), tensors_for(graph))
    given = given_for(graph, [3])
    found = one(given, [3])
    assert found["positions"] is given["positions"]
    assert list(found) == ["positions", "value.8"]


def test_a_result_that_is_an_input_goes_through_all() -> None:
    graph = chain(3)
    both = replace(
        graph, outputs=(*graph.outputs, Output("x", Role.USER, Ref(0))), out_tree=Tree("tuple", (LEAF, LEAF))
    )
    given = given_for(both, [2])
    places = cut_places(both)
    assert places
    found = through(slices(both, places, tensors_for(both), range(len(places) + 2)), given, [2])
    assert found["1"] is given["x"]
    np.testing.assert_array_equal(found["0"].numpy(), result(graph, given))


def test_numbers_among_the_results_are_tensors() -> None:
    graph = chain(1)
    outputs = (Output("n", Role.USER, 7), *graph.outputs)
    one = Slice(
        part(replace(graph, outputs=outputs, out_tree=Tree("list", (LEAF, LEAF))), (), 0, 1), tensors_for(graph)
    )
    found = one(given_for(graph, [2]), [2])
    assert found["0"].item() == 7


WRONG: dict[str, tuple[dict[str, Any], list[int], type[GgmlError], str]] = {
    "a name too much": ({"x": (2, 3), "y": (2, 3)}, [2], ArgumentError, "it takes"),
    "a name too few": ({}, [2], ArgumentError, "it takes"),
    "no symbols": ({"x": (2, 3)}, [], ArgumentError, "are 0; there are 1"),
    "too many symbols": ({"x": (2, 3)}, [2, 2], ArgumentError, "are 2; there are 1"),
    "another extent": ({"x": (2, 3)}, [4], ShapeMismatchError, "x"),
    "another rank": ({"x": (3,)}, [3], ShapeMismatchError, "x"),
    "another width": ({"x": (2, 4)}, [2], ShapeMismatchError, "x"),
    "over the bounds": ({"x": (9, 3)}, [9], ShapeMismatchError, "x"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_it_does_not_take_is_refused(name: str) -> None:
    shapes, symbols, kind, why = WRONG[name]
    one = Slice(part(chain(1), (), 0, 1), tensors_for(chain(1)))
    with pytest.raises(kind, match=why):
        one({name: ggml.zeros(*shape) for name, shape in shapes.items()}, symbols)


def test_another_dtype_is_refused() -> None:
    one = Slice(part(chain(1), (), 0, 1), tensors_for(chain(1)))
    with pytest.raises(DTypeError):
        one({"x": ggml.zeros(2, 3, dtype=ggml.int64)}, [2])


def test_a_slice_without_its_weights_is_refused() -> None:
    graph = chain(2)
    second = part(graph, cut_places(graph), 1, 2)
    Slice(second, {"w1": ggml.zeros(3, 3)})
    with pytest.raises(StateDictError, match="w1"):
        Slice(second, {"w0": ggml.zeros(3, 3)})

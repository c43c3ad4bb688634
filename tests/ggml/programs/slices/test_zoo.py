"""Models of the zoo in two and three slices give bit for bit what they give whole, at two shapes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import ggml  # noqa: E402
from ggml.programs.binding import as_input, bind  # noqa: E402
from ggml.programs.graph import Graph  # noqa: E402
from ggml.programs.slices.part import part  # noqa: E402
from ggml.programs.slices.places import cut_places  # noqa: E402
from ggml.programs.slices.running import Slice  # noqa: E402
from ggml.programs.trees import flatten  # noqa: E402
from tests.ggml.zoo.models import Entry, others, text, vision  # noqa: E402
from tests.ggml.zoo.running import exported, results  # noqa: E402

OWN = [one for one in (*others.ENTRIES, *text.ENTRIES, *vision.ENTRIES) if one.is_quick and not one.missing]
QUICK = ("MLP", "BERT", "GPT-2", "Llama", "ViT")


def _parameter(entry: Entry) -> Any:
    return pytest.param(entry, id=entry.name, marks=() if entry.name in QUICK else pytest.mark.slow)


def _given(graph: Graph, arguments: tuple[Any, ...]) -> tuple[dict[str, ggml.Tensor], tuple[int, ...]]:
    """The arguments by name, and their extents."""
    leaves = list(flatten(graph.in_tree, (arguments, {}), "arguments"))
    users = [as_input(one, wanted) for one, wanted in zip(leaves, graph.users, strict=True)]
    given = {one.name: there for one, there in zip(graph.users, users, strict=True) if one.spec is not None}
    return given, bind(graph, graph.users, users)


def _bounds(num_units: int) -> list[tuple[int, ...]]:
    """In two and in three."""
    found = [(0, num_units // 2, num_units)] if num_units > 1 else []
    return found + ([(0, num_units // 3, 2 * num_units // 3, num_units)] if num_units > 2 else [])


@pytest.mark.parametrize("entry", [_parameter(entry) for entry in OWN])
def test_slices_equal_the_whole(entry: Entry) -> None:
    program = ggml.export.lower(exported(entry)[1])
    graph, tensors = program.graph, {**program.weights, **program.state.all()}
    places = cut_places(graph)
    assert len(places) >= 2 or entry.name not in QUICK, "else nothing would be compared"
    for bounds in _bounds(len(places) + 1):
        parts = [Slice(part(graph, places, first, end), tensors) for first, end in pairwise(bounds)]
        for batch in (2, 3):
            arguments = entry.arguments(batch)
            wanted = results(program, arguments)
            given, symbols = _given(graph, arguments)
            for one in parts:
                given = one(given, symbols)
            for ours, theirs in zip(given.values(), wanted, strict=True):
                assert torch.equal(torch.from_dlpack(ours), torch.from_dlpack(theirs))

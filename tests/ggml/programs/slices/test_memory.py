"""What a call takes beside the weights, without computing it."""

from __future__ import annotations

import pytest

from ggml.core.errors import OutOfMemoryError
from ggml.programs.drawn import drawn
from ggml.programs.slices.memory import compute_bytes
from ggml.programs.slices.part import part
from ggml.programs.slices.places import cut_places
from tests.ggml.programs.slices.graphs import chain, with_positions, with_state


def test_it_grows_with_the_extents() -> None:
    small, large = compute_bytes(chain(2), [1]), compute_bytes(chain(2), [100_000])
    assert 0 < small < 100_000
    assert 100_000 * 3 * 4 * 2 <= large <= 100_000 * 3 * 4 * 6, "what is given and what comes out, and a little more"


def test_a_slice_takes_no_more_than_the_whole() -> None:
    graph = chain(6)
    places = cut_places(graph)
    whole = compute_bytes(graph, [1000])
    assert all(0 < compute_bytes(part(graph, places, unit, unit + 1), [1000]) <= whole for unit in range(6))


@pytest.mark.parametrize("num_rows", [1 << 42, (1 << 63) - 1])
def test_extents_that_no_machine_could_hold_are_refused_before_any_graph_is_made(num_rows: int) -> None:
    with pytest.raises(OutOfMemoryError):
        compute_bytes(chain(2), [num_rows])


def test_what_only_goes_through_takes_nothing() -> None:
    assert compute_bytes(chain(0), [5]) == 0


def test_states_and_positions() -> None:
    assert compute_bytes(with_state(), [3]) > 0
    assert compute_bytes(with_positions(), [3]) > 0


def test_inputs_are_drawn_in_the_example_s_shapes() -> None:
    first, again, other = (drawn(with_positions(), seed) for seed in (1, 1, 2))
    assert {name: (one.dtype.name, tuple(one.shape)) for name, one in first.items()} == {
        "x": ("float32", (3, 3)), "positions": ("int64", (3,)),
    }  # fmt: skip
    assert first["positions"].tolist() == [1, 1, 1]
    assert first["x"].tolist() == again["x"].tolist() != other["x"].tolist()

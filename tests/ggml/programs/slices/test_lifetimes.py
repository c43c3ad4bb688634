"""How long values are needed, what is worked out anew, and where states are."""

from __future__ import annotations

from dataclasses import replace

from ggml.programs.graph import Output, Ref, Role
from ggml.programs.slices.lifetimes import lifetimes, state_spans
from tests.ggml.programs.graphs import graph
from tests.ggml.programs.graphs import node as on_x
from tests.ggml.programs.slices.graphs import chain, program, user, weight, with_positions, with_state


def test_a_value_lives_until_its_last_reader() -> None:
    found = lifetimes(chain(2))
    # x, w0, w1, then mm, relu, mm, relu: the last is the result.
    assert found.last_use == (0, 0, 2, 1, 2, 3, 4)
    assert found.anew == frozenset()


def test_what_nobody_reads_lives_nowhere() -> None:
    found = lifetimes(graph(on_x("relu.default", Ref(0)), on_x("neg.default", Ref(0)), result=1))
    assert found.last_use == (1, 2, -1)


def test_an_input_that_is_also_the_result_lives_to_the_end() -> None:
    assert lifetimes(graph(on_x("relu.default", Ref(0)), result=0)).last_use == (1, -1)


def test_what_follows_from_positions_is_worked_out_anew_and_keeps_them_alive() -> None:
    found = lifetimes(with_positions())
    assert found.anew == {5, 6, 7}
    assert found.last_use[1] == 6, "the positions are needed as long as what follows from them"
    assert found.last_use[7] == 6
    assert found.last_use[0] == 3


def test_tables_with_axes_and_floats_are_not_worked_out_anew() -> None:
    whole = with_positions()
    as_table = replace(whole, inputs=(*whole.inputs[:2], weight("frequency"), *whole.inputs[3:]))
    assert lifetimes(as_table).anew == {5}
    as_floats = replace(whole, inputs=(whole.inputs[0], user("positions"), *whole.inputs[2:]))
    assert lifetimes(as_floats).anew == frozenset()


def test_states_are_not_worked_out_anew_even_of_whole_numbers() -> None:
    whole = with_state()
    assert lifetimes(whole).anew == frozenset()


def test_the_new_value_of_a_state_stays_where_the_state_is() -> None:
    """Else it would be sent through all slices behind, and nothing could be cut there."""
    assert lifetimes(with_state()).last_use[6] == 2, "the product that reads it, not the end"
    whole = with_state()
    from_user = replace(whole, outputs=(whole.outputs[0], Output("total", Role.STATE, Ref(0))))
    assert lifetimes(from_user).last_use[0] == 1, "until the state is read, which is where it is kept"


def test_spans_of_states() -> None:
    assert state_spans(with_state()) == {"total": (1, 1)}
    assert state_spans(with_state(reads_again_at_the_end=True)) == {"total": (1, 5)}
    assert state_spans(chain()) == {}


def test_a_state_that_is_given_to_users_lasts_to_the_end() -> None:
    whole = with_state()
    shown = replace(whole, outputs=(Output("y", Role.USER, Ref(4)), whole.outputs[1]))
    assert state_spans(shown) == {"total": (1, 5)}


def test_states_that_are_exchanged_are_together_at_the_end() -> None:
    whole = with_state()
    both = program(
        [*whole.inputs, replace(whole.inputs[4], name="other")],
        [replace(one, args=tuple(Ref(a.value + (a.value > 4)) for a in one.args)) for one in whole.nodes],  # type: ignore[union-attr]
        [Output("y", Role.USER, Ref(11)), Output("total", Role.STATE, Ref(5)), Output("other", Role.STATE, Ref(4))],
    )
    assert state_spans(both) == {"total": (1, 5), "other": (5, 5)}


def test_a_state_that_no_node_needs() -> None:
    whole = with_state()
    nodes = [replace(one, args=tuple(Ref(0) if a == Ref(4) else a for a in one.args)) for one in whole.nodes]
    alone = replace(whole, nodes=tuple(nodes), outputs=(whole.outputs[0], Output("total", Role.STATE, Ref(0))))
    assert state_spans(alone) == {"total": (0, 0)}

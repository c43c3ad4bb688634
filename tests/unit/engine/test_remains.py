"""Which stages have to be given anew what they held, and how much of it there is to give."""

from __future__ import annotations

from cluster.engine.remains import Remains, what_remains
from cluster.messages.stage import Holdings

NEW = Holdings(0)


def test_stages_of_the_epoch_hold_all() -> None:
    held = [Holdings(7, (5, 9)), Holdings(7, (5, 9)), Holdings(7)]
    assert what_remains(held, 7, 7, 2) == Remains((), None)


def test_nothing_is_known_or_all_are_new() -> None:
    assert what_remains((), 3, 3, 2) is None
    assert what_remains([NEW, NEW], 3, 3, 2) is None
    assert what_remains([None, Holdings(2, (4, 4))], 3, 3, 2) is None


def test_a_new_stage_is_given_what_the_one_before_it_kept() -> None:
    held = [Holdings(7, (5, 9)), NEW, Holdings(7)]
    remains = what_remains(held, 7, 7, 2)
    assert remains == Remains((1,), (5, 9))
    assert remains.covers(0, 5)
    assert not remains.covers(0, 6)
    assert what_remains([Holdings(7, (5, 9)), Holdings(7, (3, 12)), None], 7, 7, 2) == Remains((2,), (3, 12))


def test_the_first_stage_is_given_tokens() -> None:
    remains = what_remains([NEW, Holdings(7, (5, 9)), Holdings(7)], 7, 7, 2)
    assert remains == Remains((0,), None)
    assert remains.covers(1, 4096)


def test_of_several_new_stages_in_a_row_the_first_is_given_rows() -> None:
    held = [Holdings(7, (5, 9)), NEW, NEW, Holdings(7, (1, 1)), NEW]
    assert what_remains(held, 7, 7, 2) == Remains((1, 2, 4), (1, 1))


def test_a_stage_that_keeps_nothing_has_nothing_to_give() -> None:
    remains = what_remains([Holdings(7), NEW], 7, 7, 2)
    assert remains == Remains((1,), (0, 0))
    assert not remains.covers(0, 1)
    assert what_remains([Holdings(7, (5,)), NEW], 7, 7, 2) == Remains((1,), (0, 0)), "of another number of slots"


def test_epochs_in_which_nothing_was_answered_count_as_one() -> None:
    held = [Holdings(7, (5, 9)), Holdings(6, (5, 9)), Holdings(8)]
    assert what_remains(held, 6, 8, 2) == Remains((), None)
    assert what_remains(held, 7, 8, 2) == Remains((1,), (5, 9))
    assert what_remains([Holdings(9, (5, 9)), Holdings(7)], 7, 7, 2) == Remains((0,), None), "of a cluster before"

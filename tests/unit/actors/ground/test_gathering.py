"""How `up` waits for machines."""

from __future__ import annotations

import pytest

from cluster.actors.ground.gathering import REMIND_S, RETURN_S, Gathering
from cluster.api.errors import UnreachableError


def test_each_machine_is_told_once_as_it_comes_and_goes() -> None:
    waits = Gathering(3, 60, start_s=0)
    assert waits.look(["one"], 0) == ["one is there (1 of 3)"]
    assert waits.look(["one"], 1) == []
    assert waits.look(["two", "one"], 2) == ["two is there (2 of 3)"]
    assert waits.look(["one"], 3) == ["two has left"]
    assert waits.num_missing == 2
    assert waits.look(["one", "three", "two"], 4) == ["three is there (2 of 3)", "two is there (3 of 3)"]
    assert waits.is_complete


def test_a_lone_head_waits_for_nobody_and_says_nothing() -> None:
    waits = Gathering(1, 60, start_s=0)
    assert waits.look(["one"], 0) == []
    assert waits.is_complete
    assert not waits.must_tell(100)


def test_how_to_join_is_told_once_after_members_had_time_to_come_back_and_then_there_are_reminders() -> None:
    waits = Gathering(2, 600, start_s=0, num_expected=1)
    waits.look(["one"], 0)
    assert not waits.must_tell(RETURN_S / 2)
    assert waits.must_tell(RETURN_S)
    assert not waits.must_tell(RETURN_S + 1)
    assert not waits.must_remind(RETURN_S + REMIND_S / 2)
    assert waits.must_remind(RETURN_S + REMIND_S)
    assert not waits.must_remind(RETURN_S + REMIND_S + 1)


def test_it_ends_with_who_is_there_and_what_to_do() -> None:
    waits = Gathering(3, 5, start_s=0)
    waits.look(["one", "two"], 1)
    with pytest.raises(
        UnreachableError, match=r"^nodes: 2 of 3 are there \(one, two\) after 5 s; see what cluster join"
    ):
        waits.look(["one", "two"], 5.1)
    assert Gathering(1, 5, start_s=0).look(["one"], 100) == []


def test_where_nobody_is_expected_back_it_is_told_at_once() -> None:
    waits = Gathering(2, 600, start_s=0)
    waits.look(["one"], 0)
    assert waits.must_tell(0)
    assert not waits.must_tell(1)

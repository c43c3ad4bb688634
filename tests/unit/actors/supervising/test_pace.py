"""When a watched cluster is repaired: at once, after ever longer pauses, and in the end not any more."""

from __future__ import annotations

import itertools

import pytest

from cluster.actors.supervising.pace import (
    FIRST_PAUSE_S,
    GRACE_S,
    MOST_PAUSE_S,
    MOST_REPAIRS,
    STEADY_S,
    Choice,
    Finding,
    Pace,
)

TICK_S = 0.1


def repairs(pace: Pace, finding: Finding, start_s: float, until_s: float, takes_s: float = 0.0) -> list[float]:
    """When a cluster that is found so is repaired, each of which takes so long and is of no use."""
    begun, now_s = [], start_s
    while now_s < until_s:
        if pace.look(finding, now_s) is Choice.REPAIR:
            begun.append(now_s)
            now_s += takes_s
            pace.tried("it died again; run cluster up", now_s)
        now_s += TICK_S
    return begun


def test_what_is_dead_is_replaced_at_once() -> None:
    pace = Pace()
    assert pace.look(Finding.WELL, 0.0) is Choice.NOTHING
    assert pace.look(Finding.UNKNOWN, 1.0) is Choice.NOTHING
    assert pace.look(Finding.DEAD, 1.1) is Choice.REPAIR


def test_what_lives_may_come_back_by_itself() -> None:
    pace = Pace()
    assert pace.look(Finding.SILENT, 1.0) is Choice.NOTHING
    assert pace.look(Finding.WELL, 1.2) is Choice.NOTHING
    assert repairs(pace, Finding.SILENT, 2.0, 2.0 + GRACE_S - TICK_S) == []
    assert pace.look(Finding.SILENT, 2.0 + GRACE_S) is Choice.REPAIR
    assert Pace(grace_s=100.0).look(Finding.DEAD, 3.0) is Choice.REPAIR, "nothing comes back of what is dead"


def test_pauses_double_and_have_an_end() -> None:
    begun = repairs(Pace(), Finding.DEAD, 0.0, 100.0, takes_s=1.0)
    pauses = [later - earlier - 1.0 for earlier, later in itertools.pairwise(begun)]
    wanted = [min(FIRST_PAUSE_S * 2**place, MOST_PAUSE_S) for place in range(MOST_REPAIRS - 1)]
    assert pauses == pytest.approx(wanted, abs=2 * TICK_S)
    assert len(begun) == MOST_REPAIRS


def test_it_gives_up_once_and_says_why() -> None:
    pace, found = Pace(), []
    for at in range(60):
        found.append(pace.look(Finding.DEAD, float(at)))
        if found[-1] is Choice.REPAIR:
            assert not pace.given_up
            pace.tried("it died again; run cluster up", float(at))
    assert (found.count(Choice.REPAIR), found.count(Choice.GIVE_UP)) == (MOST_REPAIRS, 1)
    assert pace.given_up == "gave up after 8 repairs in a row: it died again; run cluster up"


def test_a_cluster_that_stays_well_is_forgiven() -> None:
    pace = Pace()
    for start_s in range(0, 5 * (MOST_REPAIRS + 2), 5):  # between its deaths it is well, but not for long
        repairs(pace, Finding.DEAD, start_s, start_s + 0.05)
        pace.look(Finding.WELL, start_s + 0.5)
        pace.look(Finding.WELL, start_s + 4.9)
    assert pace.given_up
    pace.look(Finding.WELL, 100.0)
    pace.look(Finding.WELL, 100.0 + STEADY_S)
    assert not pace.given_up
    assert pace.look(Finding.DEAD, 101.0 + STEADY_S) is Choice.REPAIR

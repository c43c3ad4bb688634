"""How often stages were lost, for how long, and what that cost."""

from __future__ import annotations

from dataclasses import replace

from cluster.api.sampling import SamplingParams
from cluster.engine.outages import OutageFigures, Outages
from cluster.messages.stage import StageFailure
from tests.unit.engine.test_loop import Run
from tests.unit.engine.test_replay import ALONE, LIMITS, PATIENCE_S

LOST = StageFailure(1, 3, "killed")


def test_an_outage_lasts_from_the_first_loss_to_the_return() -> None:
    outages = Outages()
    assert outages.figures(5.0) == OutageFigures()
    outages.end(6.0)
    assert outages.figures(6.0) == OutageFigures(), "the first epoch is no return"
    outages.begin(10.0, LOST, is_cut=True)
    assert (outages.cause, outages.is_cut) == (LOST, True)
    assert outages.figures(12.0) == OutageFigures(0, 2.0, 0, 2.0)
    assert outages.end(14.0, 7) is None
    assert (outages.cause, outages.is_cut) == (None, False)
    assert outages.figures(20.0) == OutageFigures(1, 4.0, 7, 0.0)


def test_one_begins_with_the_first_failure_of_its_epoch() -> None:
    outages = Outages()
    assert not outages.is_begun_by(LOST, 4), "it is over"
    assert outages.is_begun_by(LOST, 3)
    assert not outages.is_begun_by(LOST, 2), "its epoch is still to come"
    assert outages.end(1.0) is LOST
    outages.begin(2.0, LOST, is_cut=False)
    assert not outages.is_begun_by(LOST, 3), "one lasts"


def test_the_engine_counts() -> None:
    run = Run(LIMITS, patience_s=PATIENCE_S)
    readers = [run.ask([1, 2, 3, 4], replace(ALONE, seed=place)) for place in range(2)]
    during: list[bool] = []
    run.lose(1, at_s=20.5)
    run.world.at(30.0, lambda: during.append(run.engine.snapshot().is_holding))
    run.repair(at_s=40.0)
    run.run()
    found = run.engine.snapshot()
    assert during == [True]
    assert not found.is_holding
    assert (found.outages.num_ended, round(found.outages.lost_s, 1)) == (1, 19.5)
    had = sum(4 + sum(time_s <= 20.5 for time_s in reader.times_s) for reader in readers)
    assert had - 2 * len(readers) <= found.outages.num_replayed <= had


def test_without_patience_nothing_is_replayed() -> None:
    run = Run(LIMITS)
    run.ask([1], SamplingParams(max_tokens=20, seed=7, ignore_eos=True))
    run.lose(1, at_s=8.5)
    run.repair(at_s=9.0)
    run.run()
    assert run.engine.snapshot().outages == OutageFigures(1, 0.5, 0, 0.0)

"""An engine whose stages are wired anew on purpose: what is under way ends, and everything goes on behind it."""

from __future__ import annotations

import random
import threading
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cluster.engine.events import Pause
from tests.unit.engine.test_loop import Run
from tests.unit.engine.test_replay import ALONE, LIMITS, assert_as_alone


def pause(run: Run, at_s: float) -> threading.Event:
    has_paused = threading.Event()
    run.world.at(at_s, lambda: run.world.put(Pause("it is moved", has_paused)))
    return has_paused


def test_nothing_is_under_way_when_it_stands_still() -> None:
    run = Run(LIMITS)  # without patience: a pause holds requests all the same
    readers = [run.ask([1 + place], replace(ALONE, seed=place)) for place in range(6)]
    has_paused = pause(run, at_s=20.5)
    seen: list[tuple[bool, int, int]] = []
    run.world.at(
        35.0, lambda: seen.append((has_paused.is_set(), len(run.stages.in_flight), sum(len(r.tokens) for r in readers)))
    )
    purposes: list[bool] = []
    run.world.at(38.0, lambda: purposes.append(run.engine.snapshot().is_on_purpose))
    run.world.at(39.0, lambda: seen.append((True, 0, sum(len(r.tokens) for r in readers))))
    run.repair(at_s=40.0)
    run.run()
    assert seen[0][:2] == (True, 0)
    assert seen[0][2] == seen[1][2], "somebody was told something meanwhile"
    assert purposes == [True]
    for place, reader in enumerate(readers):
        assert_as_alone(reader, [1 + place], replace(ALONE, seed=place))
    run.check_nothing_leaks()


def test_pauses_are_nobodys_fault() -> None:
    """As often as it is paused, no request is taken for what the stages die of."""
    run = Run(LIMITS)
    prompt = list(range(6, 20))
    reader = run.ask(prompt, ALONE)
    for place in range(8):  # no token comes between
        pause(run, at_s=0.5 + 2 * place)
        run.repair(at_s=1.9 + 2 * place)
    run.run()
    assert_as_alone(reader, prompt, ALONE)


def test_a_stage_may_die_in_a_pause() -> None:
    run = Run(LIMITS, patience_s=1000.0)
    readers = [run.ask([1 + place], replace(ALONE, seed=place)) for place in range(4)]
    has_paused = pause(run, at_s=10.2)
    run.lose(1, at_s=10.4)
    run.repair(at_s=30.0)
    run.run()
    assert has_paused.is_set()
    for place, reader in enumerate(readers):
        assert_as_alone(reader, [1 + place], replace(ALONE, seed=place))


@given(st.integers(0, 2**32))
def test_pauses_and_deaths_in_any_order(seed: int) -> None:
    draw = random.Random(seed)
    run = Run(LIMITS, patience_s=1000.0)
    readers = [
        run.ask([1 + place], replace(ALONE, seed=place), draw.uniform(0, 40)) for place in range(draw.randint(1, 8))
    ]
    at_s, paused = 0.0, []
    for _ in range(draw.randint(1, 5)):
        at_s += draw.uniform(0.1, 20)
        if draw.random() < 0.6:
            paused.append(pause(run, at_s))
        else:
            run.lose(draw.randrange(LIMITS.num_stages), at_s)
        at_s += draw.uniform(0.1, 20)
        run.repair(at_s)
    run.run()
    for place, reader in enumerate(readers):
        if reader.error is None:
            assert_as_alone(reader, [1 + place], replace(ALONE, seed=place))
        else:
            assert "for the third time while it was computed" in str(reader.error)
    assert all(one.is_set() for one in paused)
    run.check_nothing_leaks(max_surplus=8)

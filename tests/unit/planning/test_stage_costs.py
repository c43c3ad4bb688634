"""From what parts of a model took in a rehearsal to what its stages cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.planning.measure.rehearsal.cast import Figures, Scene, Watched
from cluster.planning.search.cut_search import Range
from cluster.planning.search.sizes import LayerSizes
from cluster.planning.stage_costs import PART_BYTES, Rehearsed, part_of, scenes_for

_LAYER = PART_BYTES // 5
_SIZES = LayerSizes((_LAYER,) * 20, (0,) * 20, _LAYER, 3 * _LAYER)
_ROWS = (1, 2, 4, 8)
_LAYER_MS, _HEAD_MS, _OVERHEAD_MS, _HOP_MS, _LENT = 2.0, 5.0, 0.7, 0.4, 0.6


def _raw_ms(part: Range, num_rows: int, share: float = 1.0) -> float:
    head_ms = _HEAD_MS if part[1] == 20 else 0.0
    return share * (1 + 0.25 * num_rows) * (_LAYER_MS * (part[1] - part[0]) + head_ms)


def _rehearsed(parts: tuple[Range, ...], num_slots: int = 8) -> Rehearsed:
    """What stages would show whose steps take what their layers, their head and the pipeline add up to."""
    scenes = scenes_for(len(parts), num_slots, lends=True)

    def watched(scene: Scene) -> Watched:
        lanes = 1 if scene.exclusive else min(len(parts), scene.num_sequences)
        num_rows = -(-scene.num_sequences // lanes)
        share = _LENT if scene.exclusive else 1.0
        steps_ms = tuple(_raw_ms(part, num_rows, share) + _OVERHEAD_MS for part in parts)
        return Watched(steps_ms, num_rows, sum(steps_ms) + len(parts) * _HOP_MS, 10.0 + scene.num_sequences)

    raw_ms = tuple(tuple((rows, _raw_ms(part, rows)) for rows in _ROWS) for part in parts)
    return Rehearsed(
        parts, scenes, Figures(raw_ms, tuple(map(watched, scenes))), _SIZES, ("CPU",) * len(parts), (2.0,) * len(parts)
    )


def test_a_part_is_no_larger_than_what_is_rehearsed() -> None:
    cuts = tuple(range(1, 20))
    assert part_of((0, 4), cuts, _SIZES) == (0, 4)
    assert part_of((0, 9), cuts, _SIZES) == (0, 5)
    assert part_of((9, 15), cuts, _SIZES) == (9, 14)
    assert part_of((9, 20), cuts, _SIZES) == (15, 20)
    assert part_of((9, 20), (8,), _SIZES) == (9, 20), "it can be cut nowhere else"
    assert part_of((0, 10), (8,), _SIZES) == (0, 8), "as small as can be"


@given(st.integers(1, 8), st.integers(8, 19))
def test_more_layers_take_as_much_longer_as_they_are_more(first: int, second: int) -> None:
    ranges = ((0, first), (first, second), (second, 20))
    parts = tuple(part_of(whole, range(1, 20), _SIZES) for whole in ranges if whole[0] < whole[1])
    ranges = tuple(whole for whole in ranges if whole[0] < whole[1])
    costs = _rehearsed(parts).costs(ranges)
    assert costs.hop_ms == pytest.approx(_HOP_MS)
    for whole, stage in zip(ranges, costs.stages, strict=True):
        for rows, took_ms in stage.decode_ms:
            assert took_ms == pytest.approx(_raw_ms(whole, rows) + _OVERHEAD_MS, rel=0.02)
        for rows, took_ms in stage.exclusive_ms:
            assert took_ms == pytest.approx(_raw_ms(whole, rows, _LENT) + _OVERHEAD_MS, rel=0.02)


def test_what_was_rehearsed_itself_is_what_was_seen() -> None:
    seen = _rehearsed(((0, 3), (3, 20)))
    costs = seen.costs(((0, 3), (3, 20)))
    assert [stage.exclusive_ms[0][1] for stage in costs.stages] == list(seen.figures.watched[2].steps_ms)


def test_a_whole_model_is_its_layers_and_one_head() -> None:
    (whole,) = _rehearsed(((0, 5), (15, 20))).costs(((0, 20),)).stages
    for rows, took_ms in whole.decode_ms:
        assert took_ms == pytest.approx(_raw_ms((0, 20), rows, _LENT) + _OVERHEAD_MS, rel=0.02)


def test_requests_begin_later_the_more_they_are() -> None:
    seen = _rehearsed(((0, 3), (3, 20)))
    assert [seen.start_ms(number) for number in (1, 8, 9)] == [11.0, 18.0, 18.0]
    assert seen.start_ms(4) == pytest.approx(14.0)


def test_the_scheduler_knows_what_stages_measure_by_themselves() -> None:
    ranges = ((0, 8), (8, 20))
    known = _rehearsed(((0, 5), (15, 20))).known(ranges)
    for whole, stage in zip(ranges, known.stages, strict=True):
        for (rows, took_ms), (_, exclusive_ms) in zip(stage.decode_ms, stage.exclusive_ms, strict=True):
            assert took_ms == pytest.approx(_raw_ms(whole, rows), rel=0.1)
            assert exclusive_ms == took_ms / 2.0


def test_one_slot_has_no_other_scenes_than_its_own() -> None:
    assert scenes_for(2, 1, lends=True) == (Scene(1, False), Scene(1, True))
    assert scenes_for(1, 4, lends=True) == (Scene(1, False), Scene(4, False))


def test_the_way_back_through_the_coordinator_is_what_a_shared_round_takes_longer() -> None:
    parts = ((0, 3), (3, 20))
    costs = _rehearsed(parts).costs(parts)
    assert costs.turn_ms == pytest.approx(_HOP_MS), "here it is as any message"
    assert costs.shared_round_ms(2, 8) >= sum(costs.steps_ms(4)) + 2 * _HOP_MS

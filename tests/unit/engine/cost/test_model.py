"""StepCostModel: what follows from what steps take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.engine.cost.decode import DecodePlan
from cluster.engine.cost.model import PromptPlan, StepCostModel
from cluster.engine.cost.row_cost import RowCost
from cluster.engine.prefix import MIN_SHARED_TOKENS, shared_length
from cluster.messages.stage import StageCosts
from cluster.messages.step import StepId, StepTiming

_ROWS = (1, 2, 4, 8, 16)
_LINEAR = tuple((rows, 10.0 * rows) for rows in _ROWS)
_FLAT = tuple((rows, 10.0) for rows in _ROWS)  # as on a GPU: the weights are read once, whatever the rows


def pace(points: tuple[tuple[int, float], ...], *, stages: int = 2, speedup: float = 1.0) -> StepCostModel:
    made = StepCostModel(stages, 512)
    alone = tuple((rows, took_ms / speedup) for rows, took_ms in points) if speedup > 1 else ()
    made.begin([StageCosts(points, alone)] * stages)
    return made


@pytest.mark.parametrize(("num_sequences", "num_lanes"), [(1, 1), (2, 2), (3, 2), (8, 2)])
def test_nothing_is_known_so_every_stage_gets_a_microbatch(num_sequences: int, num_lanes: int) -> None:
    assert StepCostModel(2, 512).decode_plan(num_sequences) == DecodePlan(num_lanes, exclusive=False)


def test_stages_of_their_own_are_all_kept_busy() -> None:
    for points in (_LINEAR, _FLAT):
        assert pace(points).decode_plan(8) == DecodePlan(2, exclusive=False)
        assert pace(points, stages=4).decode_plan(8) == DecodePlan(4, exclusive=False)


def test_stages_that_share_cores_take_turns_where_more_rows_are_cheaper() -> None:
    costs = ((1, 10.0), (4, 40.0), (8, 60.0))
    assert pace(costs, speedup=2.0).decode_plan(8) == DecodePlan(1, exclusive=True)
    assert pace(costs).decode_plan(8) == DecodePlan(2, exclusive=False)


def test_stages_that_share_cores_do_so_only_for_a_clear_gain() -> None:
    nearly_linear = ((1, 10.0), (4, 40.0), (8, 82.0))
    assert pace(nearly_linear, speedup=2.0).decode_plan(8) == DecodePlan(1, exclusive=True)
    assert pace(((1, 10.0), (4, 40.0), (8, 110.0)), speedup=2.0).decode_plan(8) == DecodePlan(2, exclusive=False)


def test_one_sequence_has_all_cores() -> None:
    assert pace(_LINEAR, speedup=2.0).decode_plan(1) == DecodePlan(1, exclusive=True)


def test_a_chunk_beside_running_streams_takes_about_as_long_as_their_steps() -> None:
    plan = pace(_LINEAR).prompt_plan([2048], 0, num_decoding=16)  # two lanes of 8 rows, 80 ms
    assert plan == PromptPlan(8, exclusive=False)


def test_chunks_get_shorter_if_they_turn_out_to_take_longer() -> None:
    made = pace(tuple((rows, 10.0 * rows) for rows in (1, 2, 4, 8, 16, 24)))
    assert made.prompt_plan([2048], 0, num_decoding=48).num_rows == 24
    for step in range(9):
        made.sent(StepId(0, 0, step), 24, 100.0, exclusive=False)
        for stage in (0, 1):
            made.learn(StepTiming(StepId(0, 0, step), stage, 24, 0, int(24 * 17.0 * 1e6), 0))
    assert made.prompt_plan([2048], 100, num_decoding=48).num_rows == 12


def test_the_shortest_chunk_is_what_kernels_compute_at_once() -> None:
    assert pace(_LINEAR).prompt_plan([2048], 0, num_decoding=1).num_rows == 4


def test_short_prompts_begin_together_beside_few_streams() -> None:
    """They will be streams too, and then all steps take as long as the one that begins them."""
    costs = ((1, 10.0), (2, 15.0), (4, 20.0), (8, 40.0), (16, 60.0), (32, 110.0))
    for speedup in (1.0, 2.0):
        made = pace(costs, speedup=speedup)
        assert made.prompt_plan([1] * 31, 0, num_decoding=1).num_rows == 31
        assert made.prompt_plan([2048] + [1] * 30, 0, num_decoding=1).num_rows == 4, "the long one goes first"
        assert made.prompt_plan([3, 2, 500], 0, num_decoding=16).num_rows == 8 * speedup, "in two lanes, or in one"


def test_a_chunk_that_is_repeated_costs_what_it_cost() -> None:
    """A few rows cost much for each of them; that must not be taken for the price of more rows."""
    made = pace(((1, 10.0), (4, 40.0), (8, 42.0), (16, 44.0), (32, 60.0)))
    for step in range(9):
        made.sent(StepId(0, 0, step), 4, 0.0, exclusive=False)
        for stage in (0, 1):
            made.learn(StepTiming(StepId(0, 0, step), stage, 4, 0, int(41.0 * 1e6), 0))
    assert made.prompt_plan([2048], 0, num_decoding=32).num_rows == 8


def test_one_prompt_is_cut_so_that_the_pipeline_fills() -> None:
    plan = pace(_LINEAR, stages=4).prompt_plan([4096], 0, num_decoding=0)
    assert not plan.exclusive
    assert plan.num_rows <= 4096 / 4
    assert plan.num_rows % 32 == 0


def test_later_chunks_have_fewer_rows_because_attention_grows() -> None:
    made = pace(((1, 1000.0), (8, 1070.0), (16, 1150.0)))  # worth it to have many rows
    for step, position in enumerate(range(0, 4096, 128)):
        made.sent(StepId(0, 0, step), 128, position, exclusive=False)
        for stage in (0, 1):
            end_ns = int(128 * (10.0 + position / 200) * 1e6)
            made.learn(StepTiming(StepId(0, 0, step), stage, 128, 0, end_ns, 0))
    first = made.prompt_plan([4096], 0, num_decoding=0).num_rows
    last = made.prompt_plan([4096], 20_000, num_decoding=0).num_rows
    assert last < first


def test_what_was_learned_alone_counts_for_a_share_of_the_cores() -> None:
    made = pace(_LINEAR, speedup=2.0)
    made.sent(StepId(0, 0, 0), 64, 0.0, exclusive=True)
    made.learn(StepTiming(StepId(0, 0, 0), 0, 64, 0, int(64 * 5.0 * 1e6), 0))
    assert made._row_costs[0].at(0.0) == pytest.approx(10.0)


def test_timings_of_unknown_steps_and_stages_are_left_aside() -> None:
    made = pace(_LINEAR)
    made.learn(StepTiming(StepId(0, 0, 7), 0, 64, 0, 10**9, 0))
    made.sent(StepId(0, 0, 8), 64, 0.0, exclusive=False)
    made.learn(StepTiming(StepId(0, 0, 8), 9, 64, 0, 10**9, 0))
    assert not any(cost.is_known for cost in (*made._row_costs, *made._reach_costs))


_POINTS = st.dictionaries(st.integers(1, 64), st.floats(0.001, 1e4), min_size=1).map(
    lambda found: tuple(sorted(found.items()))
)


@given(_POINTS, st.integers(1, 5), st.sampled_from([1.0, 2.0, 7.5]), st.integers(1, 300), st.integers(1, 9000))
def test_whatever_was_measured_the_plans_are_possible(
    points: tuple[tuple[int, float], ...], stages: int, speedup: float, num_sequences: int, num_rows: int
) -> None:
    made = pace(points, stages=stages, speedup=speedup)
    decode = made.decode_plan(num_sequences)
    assert 1 <= decode.num_lanes <= min(stages, num_sequences)
    assert not (decode.exclusive and speedup == 1.0)
    for num_decoding in (0, num_sequences):
        assert 1 <= made.prompt_plan([num_rows], 0, num_decoding).num_rows <= 512


def test_a_line_through_what_rows_took() -> None:
    cost = RowCost()
    for position in range(0, 10_000, 500):
        cost.add(position, 2.0 + position / 1000)
    assert cost.at(0) == pytest.approx(2.0, rel=1e-6)
    assert cost.at(20_000) == pytest.approx(22.0, rel=1e-6)


def test_rows_never_get_cheaper_further_back() -> None:
    cost = RowCost()
    for position in range(0, 10_000, 500):
        cost.add(position, 20.0 - position / 1000)
    assert cost.at(50_000) == pytest.approx(cost.at(0))


@given(st.lists(st.integers(0, 1), max_size=60), st.lists(st.integers(0, 1), max_size=60))
def test_shared_length_is_that_of_the_common_prefix(ours: list[int], theirs: list[int]) -> None:
    ours, theirs = [0] * 12 + ours, [0] * 12 + theirs
    common = next(
        (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs))
    )
    assert shared_length(ours, theirs) == (common if common >= MIN_SHARED_TOKENS else 0)


@pytest.mark.parametrize("num_rows", [300, 1024, 2048, 7000])
def test_chunks_are_whole_tiles_of_attention(num_rows: int) -> None:
    made = pace(((1, 10.0), (16, 20.0), (32, 30.0)), stages=3)
    for position in (0, num_rows // 2):
        assert made.prompt_plan([num_rows], position, num_decoding=0).num_rows % 64 == 0

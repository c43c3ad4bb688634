"""What next, of situations that are made up."""

from __future__ import annotations

import dataclasses

import pytest

from cluster.engine.cost.model import StepCostModel
from cluster.engine.limits import Limits
from cluster.engine.policy import Decode, Prefill, Situation, is_full, next_steps
from cluster.messages.stage import StageCosts

_LIMITS = Limits(num_slots=8, context_length=512, max_batch_tokens=64, num_stages=2)
_IDLE = Situation(
    num_decodes=0,
    num_prefills=0,
    num_guessed=0,
    is_drafting=False,
    is_exclusive=False,
    decoded_last=False,
    num_decoding=0,
    num_ready=0,
    num_going_on=0,
    is_replaying=False,
    unsent=(),
    position=0,
    admit_in_s=0.0,
    issue_in_s=0.0,
)


def costs(*stages: StageCosts, limits: Limits = _LIMITS) -> StepCostModel:
    model = StepCostModel(limits.num_stages, limits.max_batch_tokens)
    model.begin(stages)
    return model


# Four rows take what one does, and a stage that computes alone is twice as fast.
_LENDS = costs(*[StageCosts(((1, 4.0), (4, 4.0), (5, 8.0), (8, 8.0)), ((1, 2.0), (4, 2.0), (5, 4.0), (8, 4.0)))] * 2)
_UNKNOWN = costs()


def steps(now: Situation, model: StepCostModel = _UNKNOWN, limits: Limits = _LIMITS) -> list[Decode | Prefill]:
    return list(next_steps(now, model, limits))


def test_nothing_to_do_is_nothing_to_send() -> None:
    assert steps(_IDLE) == []


def test_a_pipeline_is_full_with_a_microbatch_for_each_stage_and_one_that_waits() -> None:
    assert [is_full(count, False, _LIMITS) for count in range(4)] == [False, False, False, True]
    assert [is_full(count, True, _LIMITS) for count in range(1, 4)] == [False, True, True], "one has all cores"


def test_who_comes_to_idle_stages_is_held_back_for_those_close_behind() -> None:
    assert steps(_IDLE._replace(unsent=[9], admit_in_s=0.01)) == []
    assert steps(_IDLE._replace(unsent=[9])) == [Prefill(64, False)]


def test_tokens_go_first_and_in_equal_shares() -> None:
    now = _IDLE._replace(num_decoding=7, num_ready=7, unsent=[9])
    assert steps(now) == [Decode(4, False, 15), Prefill(64, False)]
    second = now._replace(num_decodes=1, num_ready=3, decoded_last=True)
    assert steps(second)[0] == Decode(3, False, 20)


def test_no_more_lanes_decode_than_the_plan_has() -> None:
    now = _IDLE._replace(num_decoding=7, num_ready=2, num_decodes=2)
    assert steps(now) == []


def test_the_only_microbatch_is_followed_in_time_for_its_end() -> None:
    now = _IDLE._replace(num_decodes=1, num_decoding=1, num_going_on=1)
    assert steps(now) == [Decode(1, False, 63, is_ahead=True)]
    assert steps(now._replace(issue_in_s=0.01)) == []
    assert steps(now._replace(is_drafting=True)) == [], "what follows is to be guessed"
    assert steps(now._replace(unsent=[9])) == [Prefill(64, False)], "it computes beside the one under way"
    assert steps(now._replace(num_going_on=2, num_decoding=2)) == [], "each has a lane of its own"


def test_prompts_and_tokens_take_turns_at_all_the_cores() -> None:
    now = _IDLE._replace(num_decoding=4, num_ready=4, unsent=[30])
    assert [type(step) for step in steps(now, _LENDS)] == [Decode, Prefill]
    found = steps(now._replace(decoded_last=True), _LENDS)
    assert [type(step) for step in found] == [Prefill, Decode]
    assert all(step.exclusive for step in found)


@pytest.mark.parametrize("model", [_LENDS, _UNKNOWN])
def test_what_was_lost_goes_before_new_tokens_in_chunks_as_long_as_if_nobody_read(model: StepCostModel) -> None:
    now = _IDLE._replace(num_decoding=4, num_ready=4, num_going_on=1, unsent=[300, 300])
    for num_prefills in range(3):
        replaying = now._replace(is_replaying=True, num_prefills=num_prefills)
        assert steps(replaying, model) == steps(_IDLE._replace(unsent=[300, 300], num_prefills=num_prefills), model)
    assert steps(now._replace(is_replaying=True), model) != steps(now, model)


def test_while_one_has_all_cores_only_such_another_may_follow() -> None:
    now = _IDLE._replace(num_prefills=1, is_exclusive=True, num_decoding=4, num_ready=4)
    assert steps(now, _LENDS) == [Decode(4, True, 15, is_ahead=True)]
    assert steps(now._replace(num_decoding=8, num_ready=1, num_going_on=0), _UNKNOWN) == []


@pytest.mark.parametrize(
    ("num_decoding", "pipelined", "most"), [(0, True, 3), (1, True, 1), (2, True, 1), (0, False, 1), (2, False, 1)]
)
def test_chunks_fill_the_stages_but_leave_a_round_to_those_who_decode(
    num_decoding: int, pipelined: bool, most: int
) -> None:
    limits = dataclasses.replace(_LIMITS, pipeline_prompts=pipelined)
    now = _IDLE._replace(unsent=[999], num_decoding=num_decoding)
    sendable = [count for count in range(3) if steps(now._replace(num_prefills=count), limits=limits)]
    assert sendable == list(range(most))


@pytest.mark.parametrize(("max_batch_tokens", "share", "max_draft"), [(2, 2, 0), (4, 4, 0), (11, 4, 1), (12, 4, 2)])
def test_a_share_and_its_drafts_are_no_more_than_a_microbatch(
    max_batch_tokens: int, share: int, max_draft: int
) -> None:
    limits = dataclasses.replace(_LIMITS, max_batch_tokens=max_batch_tokens)
    now = _IDLE._replace(num_decoding=8, num_ready=8)
    assert steps(now, costs(limits=limits), limits) == [Decode(share, False, max_draft)]

"""What next: the whole policy of the scheduler, as a pure function of what is under way and what waits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cluster.engine.cost.decode import DecodePlan
from cluster.engine.cost.model import StepCostModel
from cluster.engine.limits import Limits


class Situation(NamedTuple):
    """What the choice depends on, at one moment. Sequences are counted, not named."""

    num_decodes: int  # microbatches in flight that decode
    num_prefills: int  # microbatches in flight with chunks of prompts
    num_guessed: int  # microbatches in flight of guesses only, behind others: what comes may go beside them
    is_drafting: bool  # tokens are guessed ahead
    is_exclusive: bool  # one of them was promised that no stage computes beside it
    decoded_last: bool  # the newest microbatch decodes
    num_decoding: int  # sequences that have tokens, wherever they are
    num_ready: int  # how many of these are in no microbatch
    num_going_on: int  # sequences of the only microbatch in flight that will go on with the token that it samples
    is_replaying: bool  # of what could be sent now, something belongs to a text that somebody was reading
    unsent: Sequence[int]  # rows of each prompt that could be sent now, in order
    position: int  # where the first of these rows is in its sequence
    admit_in_s: float  # until the first requests begin that came to idle stages; 0: now
    issue_in_s: float  # until another microbatch goes behind the only one in flight; 0: now

    @property
    def num_in_flight(self) -> int:
        return self.num_decodes + self.num_prefills + self.num_guessed


class Decode(NamedTuple):
    """The new token of so many sequences, and behind each a draft; `exclusive` as in Microbatch."""

    num_sequences: int
    exclusive: bool
    max_draft: int  # rows that are left for each draft
    is_ahead: bool = False  # those are among them whose token the microbatch in flight is still to sample


class Prefill(NamedTuple):
    """A chunk of prompts of at most so many rows, `exclusive` as in Microbatch."""

    num_rows: int
    exclusive: bool


def is_full(num_in_flight: int, is_exclusive: bool, limits: Limits) -> bool:
    """No other microbatch may be sent now: as many are under way as there may be, or one computes with all cores and
    the next waits behind it already."""
    return num_in_flight == limits.max_in_flight or (is_exclusive and num_in_flight > 1)


def next_steps(now: Situation, costs: StepCostModel, limits: Limits) -> Iterator[Decode | Prefill]:
    """What may be sent now if the pipeline is not full, best first: the first that finds rows is sent.

    Where there is none, all is held back.
    A sequence that is replayed is a prompt again: its whole log is unsent.
    """
    if now.admit_in_s:
        return  # who comes close behind to idle stages begins together with those who are there
    plan = costs.decode_plan(now.num_decoding)
    if now.is_replaying:
        # All go on together, as soon as they can: beside the tokens of the first, the last would wait several times as
        # long, because chunks are short then.
        yield from _prefill(now._replace(num_decoding=0), plan, costs, limits)
    elif plan.exclusive and now.decoded_last:  # prompts and tokens take turns at all the cores
        yield from _prefill(now, plan, costs, limits)
        yield from _decode(now, plan, costs, limits)
    else:  # tokens first: somebody reads them; chunks of prompts go between
        yield from _decode(now, plan, costs, limits)
        yield from _prefill(now, plan, costs, limits)


def _decode(now: Situation, plan: DecodePlan, costs: StepCostModel, limits: Limits) -> Iterator[Decode]:
    """Sequences are spread evenly over the lanes of the plan, each lane a microbatch."""
    num_decoding, num_ready, num_lanes = now.num_decoding, now.num_ready, plan.num_lanes - now.num_decodes
    is_ahead = False
    # The only microbatch under way is followed before it is answered, so that no stage waits for us; but a prompt
    # goes first, if that may compute beside it. Behind tokens that are not known yet, none can be guessed.
    can_follow = now.num_in_flight == 1 and not now.num_guessed and not now.issue_in_s and not now.is_drafting
    if can_follow and (now.is_exclusive or not now.unsent):
        everyone = now.num_ready + now.num_going_on
        following = costs.decode_plan(everyone)
        if following.num_lanes == 1:
            plan, num_decoding, num_ready, num_lanes, is_ahead = following, everyone, everyone, 1, True
    if not num_ready or num_lanes <= 0 or (now.is_exclusive and not plan.exclusive):
        return
    share = min(math.ceil(num_decoding / plan.num_lanes), math.ceil(num_ready / num_lanes), limits.max_batch_tokens)
    yield Decode(share, plan.exclusive, limits.max_batch_tokens // share - 1, is_ahead)


def _prefill(now: Situation, plan: DecodePlan, costs: StepCostModel, limits: Limits) -> Iterator[Prefill]:
    """Chunks are as many as keep the stages busy, but no more than one a round if others decode."""
    if not limits.pipeline_prompts:
        most = 1
    elif now.num_decoding:
        most = max(1, limits.num_stages - plan.num_lanes)
    else:
        most = limits.max_in_flight
    if not now.unsent or now.num_prefills >= most:
        return
    chunk = costs.prompt_plan(now.unsent, now.position, now.num_decoding)
    if now.is_exclusive and not chunk.exclusive:
        return
    yield Prefill(chunk.num_rows, chunk.exclusive)

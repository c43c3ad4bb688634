"""Requests with other scales of the adapters: apart in microbatches, apart in what is reused, and nobody waits longer.

The stages of these tests insist on it that all rows of a slot were computed with the same scales.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from itertools import pairwise

import pytest

from cluster.api.embedding import Pooling
from cluster.api.sampling import SamplingParams
from cluster.engine.limits import Limits
from cluster.engine.neighbours import of_first
from cluster.engine.sequence import Sequence
from cluster.engine.slots import Slots
from cluster.messages.step import SlotStart
from tests.fakes.fake_stages import FakeDrafter, alone
from tests.unit.engine.test_loop import Run

_LIMITS = Limits(num_slots=8, context_length=200, max_batch_tokens=64, num_stages=2)
_PARAMS = SamplingParams(seed=5, max_tokens=40, ignore_eos=True)
ONE, OTHER = (1.0, 0.0), (0.0, 0.5)
PROMPT = [1 + token % 20 for token in range(60)]


def test_the_longest_idle_sequence_takes_those_with_its_scales() -> None:
    given = [OTHER, (), OTHER, ONE, ()]
    ready = [Sequence(number, (1,), _PARAMS, scales=scales) for number, scales in enumerate(given)]
    assert [one.request_id for one in of_first(ready)] == [0, 2]
    assert [one.request_id for one in of_first(ready[1:])] == [1, 4]
    assert of_first([]) == []


def test_what_a_slot_holds_is_reused_with_the_same_scales_only() -> None:
    slots = Slots(4)
    held = slots.allocate(PROMPT, 59, {}, ONE)
    slots.release(held.slot, PROMPT)
    assert slots.allocate(PROMPT, 59, {}).length == 0
    assert slots.allocate(PROMPT, 59, {}, OTHER).length == 0
    assert slots.allocate(PROMPT, 59, {}, ONE) == SlotStart(held.slot, held.slot, 59)
    running = dict.fromkeys(range(3), PROMPT)
    assert slots.allocate(PROMPT, 59, running, ONE).source == held.slot


def test_a_slot_that_starts_anew_holds_rows_with_the_scales_of_its_new_user() -> None:
    slots = Slots(1)
    for scales in (ONE, (), ONE):
        assert slots.allocate(PROMPT, 59, {}, scales) == SlotStart(0, 0, 0)
        slots.release(0, PROMPT)
    assert slots.allocate(PROMPT, 59, {}, ONE).length == 59
    slots.release(0, PROMPT)
    slots.clear()
    assert slots.allocate(PROMPT, 59, {}, ONE).length == 0


def test_a_prefix_is_not_taken_from_a_request_with_other_scales() -> None:
    run = Run(_LIMITS)
    params = dataclasses.replace(_PARAMS, max_tokens=3)
    in_turn = [run.ask(PROMPT, params, at_s=50.0 * turn, scales=scales) for turn, scales in enumerate((ONE, OTHER, ()))]
    again = [run.ask(PROMPT, params, at_s=200.0 + 50.0 * turn, scales=scales) for turn, scales in enumerate((ONE, ()))]
    # Those that come together wait for what another computes only if they can have it.
    together = [run.ask([2, *PROMPT], params, at_s=400.0, scales=scales) for scales in (ONE, OTHER, ONE, OTHER)]
    run.run()
    cached = [reader.timings.num_cached_tokens for reader in (*in_turn, *again, *together) if reader.timings]
    assert cached == [0, 0, 0, 59, 59, 0, 0, 60, 60]
    for reader in (*in_turn, *again):
        assert reader.tokens == alone(PROMPT, params, 200).tokens
    run.check_nothing_leaks()


@pytest.mark.parametrize("num_stages", [1, 2, 3])
@pytest.mark.parametrize("drafts", [False, True])
def test_groups_share_the_stages_evenly_and_none_waits(num_stages: int, drafts: bool) -> None:
    limits = dataclasses.replace(_LIMITS, num_stages=num_stages)
    run = Run(limits, drafter=FakeDrafter(3) if drafts else None)
    # One alone with its scales, beside many that have others, and some that name none.
    given = [ONE, *[OTHER] * 5, (), ()]
    readers = [
        run.ask([1 + number, *PROMPT[:9]], dataclasses.replace(_PARAMS, seed=number), scales=scales)
        for number, scales in enumerate(given)
    ]
    run.run()
    for number, reader in enumerate(readers):
        params = dataclasses.replace(_PARAMS, seed=number)
        assert reader.tokens == alone([1 + number, *PROMPT[:9]], params, 200).tokens
    assert {microbatch.scales for microbatch in run.stages.sent} == {ONE, OTHER, ()}
    if not drafts:  # guesses bring some more tokens than others
        gaps = [max(after - before for before, after in pairwise(reader.times_s)) for reader in readers]
        assert max(gaps) <= 2.5 * min(gaps), gaps
        ended = [reader.ended_s or 0.0 for reader in readers]
        assert max(ended) <= 1.5 * min(ended), ended
    run.check_nothing_leaks(max_surplus=8)


def test_a_long_prompt_with_other_scales_stops_nobody_and_is_not_stopped() -> None:
    run = Run(dataclasses.replace(_LIMITS, max_batch_tokens=8))
    streams = [run.ask([1 + number], _PARAMS, scales=ONE) for number in range(3)]
    late = run.ask(PROMPT, dataclasses.replace(_PARAMS, max_tokens=2), at_s=10.0, scales=OTHER)
    run.run()
    assert late.ended_s is not None and all(late.ended_s < (stream.ended_s or 0.0) for stream in streams)
    during = [end - start for stream in streams for start, end in pairwise(stream.times_s) if 10 < start < late.ended_s]
    assert max(during) <= 10.0, "a chunk goes between, not the whole prompt"


def test_vectors_and_logits_have_scales_too() -> None:
    run = Run(_LIMITS)
    asked = [(Pooling.MEAN, ONE), (Pooling.MEAN, OTHER), (Pooling.LAST, ONE), (None, OTHER), (None, ())]
    for params, scales in asked:
        run.ask(PROMPT[:20], params, scales=scales)
    run.run()
    rows = Counter(scales for sent in run.stages.sent for scales in [sent.scales] * sent.num_rows)
    assert rows[ONE] >= 20 and rows[OTHER] >= 40 and rows[()] == 20


def test_after_a_failure_nothing_is_reused_and_scales_are_those_that_are_asked() -> None:
    run = Run(_LIMITS)
    params = dataclasses.replace(_PARAMS, max_tokens=2)
    before = run.ask(PROMPT, params, scales=ONE)
    run.lose(1, 50.0)
    run.repair(60.0)
    after = run.ask(PROMPT, params, at_s=70.0, scales=OTHER)
    run.run()
    assert before.tokens == after.tokens == alone(PROMPT, params, 200).tokens
    assert after.timings is not None and after.timings.num_cached_tokens == 0
    assert {microbatch.scales for microbatch in run.stages.sent} == {OTHER}

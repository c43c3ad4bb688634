"""Texts that another engine has begun: this one goes on with them as if it had been there from the start."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.sampling import SamplingParams
from tests.fakes.fake_stages import alone
from tests.unit.engine.test_loop import _CONTEXT, Run
from tests.unit.engine.test_replay import ALONE, LIMITS

PROMPT = [1, 2, 3]


@given(
    num_begun=st.integers(0, 19),
    stop=st.sampled_from(((), ("stop",), ("é",))),
    max_tokens=st.sampled_from((20, None)),
    num_prompt=st.sampled_from((1, 3, 12)),
)
def test_what_is_left_of_a_text_is_what_was_left(
    num_begun: int, stop: tuple[str, ...], max_tokens: int | None, num_prompt: int
) -> None:
    prompt = PROMPT * (num_prompt // 3) or [1]
    params = SamplingParams(max_tokens=max_tokens, seed=7, stop=stop)
    whole = alone(prompt, params, _CONTEXT)
    begun = tuple(whole.tokens[:num_begun])
    if len(begun) == len(whole.tokens):
        begun = begun[:-1]  # a text that has ended is not gone on with
    run = Run(LIMITS)
    beside = run.ask([9], ALONE)
    reader = run.ask(prompt, params, begun=begun)
    run.run()
    assert reader.tokens == whole.tokens[len(begun) :]
    assert whole.text.endswith(reader.text)
    assert reader.reason == whole.reason
    assert reader.timings is not None
    assert reader.timings.num_tokens == len(whole.tokens)
    assert all(event.prompt is None for event in reader.events if begun)  # it was told before
    assert beside.tokens == alone([9], ALONE, _CONTEXT).tokens
    run.check_nothing_leaks()


def test_stages_may_die_under_it_too() -> None:
    whole = alone(PROMPT, ALONE, _CONTEXT)
    run = Run(LIMITS, patience_s=1000.0)
    reader = run.ask(PROMPT, ALONE, begun=tuple(whole.tokens[:5]))
    run.lose(1, at_s=9.5)
    run.repair(at_s=20.0)
    run.run()
    assert reader.tokens == whole.tokens[5:]
    run.check_nothing_leaks()


def test_it_has_its_place_even_in_a_full_queue() -> None:
    run = Run(replace(LIMITS, max_waiting=0))
    others = [run.ask([1 + place], replace(ALONE, seed=place)) for place in range(LIMITS.num_slots)]
    whole = alone(PROMPT, ALONE, _CONTEXT)
    reader = run.ask(PROMPT, ALONE, at_s=0.5, begun=tuple(whole.tokens[:1]))
    run.run()
    assert reader.tokens == whole.tokens[1:]
    assert all(other.error is None for other in others)


@pytest.mark.parametrize("stop", [(), ("stop",)])
def test_one_whose_text_has_ended_is_told_so(stop: tuple[str, ...]) -> None:
    params = replace(ALONE, stop=stop)
    whole = alone(PROMPT, params, _CONTEXT)
    run = Run(LIMITS)
    reader = run.ask(PROMPT, params, begun=tuple(whole.tokens))
    run.run()
    assert (reader.tokens, reader.text, reader.reason) == ([], "", whole.reason)
    run.check_nothing_leaks()

"""Drafts that are sent behind others, as if those were right: whatever is guessed, every text is what it is without."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.api.errors import UsageError
from cluster.api.sampling import SamplingParams
from cluster.engine.drafting import speculation
from cluster.engine.limits import Limits
from cluster.messages.stage import StageCosts
from tests.fakes.fake_stages import (
    UNSAMPLEABLE,
    UNSAMPLEABLE_LENGTH,
    VOCABULARY,
    FakeDrafter,
    alone,
)
from tests.unit.engine.test_loop import _ASKED, _CONTEXT, _COSTS, _LIMITS, _MARKED, Asked, Run, random_delays

_MOST = 6
_RUNS = st.integers(2, 5)
_SURPLUS = 5 * 16 + 1  # rows of a sequence that may be under way when it ends


@pytest.fixture(scope="module", autouse=True)
def _always() -> Iterator[None]:
    """Whatever steps take: several drafts at a time wherever there is anything to guess."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(speculation, "RUN_GAIN", -1.0)
        yield


@settings(max_examples=150)
@given(_LIMITS, _RUNS, _COSTS, st.lists(_ASKED, max_size=8), st.integers(0, 99), st.integers(0, 99), st.booleans())
def test_every_text_is_what_it_is_without_guesses(
    limits: Limits,
    max_runs: int,
    costs: StageCosts | None,
    asked: list[Asked],
    delay_seed: int,
    draft_seed: int,
    repeats_results: bool,
) -> None:
    limits = dataclasses.replace(limits, max_runs=max_runs)
    run = Run(limits, random_delays(delay_seed), repeats_results, costs, drafter=FakeDrafter(draft_seed, _MOST))
    readers = [ask.ask(run) for ask in asked]
    run.run()
    for ask, reader in zip(asked, readers, strict=True):
        ask.check(reader, may_be_lost=False)
    run.check_nothing_leaks(max_surplus=_SURPLUS)
    assert run.engine.snapshot().num_tokens == sum(len(reader.tokens) for reader in readers)


@settings(max_examples=100)
@given(
    _LIMITS,
    _RUNS,
    st.lists(_ASKED, min_size=1, max_size=4),
    st.integers(0, 99),
    st.integers(0, 99),
    st.floats(0, 40),
    st.booleans(),
    st.booleans(),
)
def test_a_lost_stage_ends_them_as_it_ends_all(
    limits: Limits,
    max_runs: int,
    asked: list[Asked],
    delay_seed: int,
    draft_seed: int,
    lost_s: float,
    tells: bool,
    keeps: bool,
) -> None:
    limits = dataclasses.replace(limits, max_runs=max_runs)
    run = Run(limits, random_delays(delay_seed), drafter=FakeDrafter(draft_seed, _MOST), patience_s=1000.0)
    readers = [ask.ask(run) for ask in asked]
    run.lose(limits.num_stages - 1, lost_s, tells=tells)
    run.repair(lost_s + 5.0, keeps=keeps)
    run.run()
    for ask, reader in zip(asked, readers, strict=True):
        ask.check(reader, may_be_lost=False)
    run.check_nothing_leaks(may_hold_more=True, max_surplus=_SURPLUS)


@settings(max_examples=100)
@given(
    _LIMITS,
    _RUNS,
    st.lists(
        st.tuples(
            st.floats(0, 60),
            st.lists(st.integers(0, VOCABULARY.num_tokens - 1), min_size=1, max_size=15),
            _MARKED,
        ),
        max_size=4,
    ),
    st.integers(0, 99),
    st.integers(0, 99),
)
def test_a_row_that_cannot_be_sampled_counts_only_if_it_would_without_guesses(
    limits: Limits,
    max_runs: int,
    asked: list[tuple[float, list[int], SamplingParams]],
    delay_seed: int,
    draft_seed: int,
) -> None:
    limits = dataclasses.replace(limits, max_waiting=len(asked), max_runs=max_runs)
    run = Run(limits, random_delays(delay_seed), drafter=FakeDrafter(draft_seed, _MOST))
    readers = [run.ask(prompt, params, at_s) for at_s, prompt, params in asked]
    run.run()
    assert run.engine.failure is None
    for (_, prompt, params), reader in zip(asked, readers, strict=True):
        expected = alone(prompt, params, _CONTEXT)
        most = len(expected.tokens)
        if params.presence_penalty == UNSAMPLEABLE:
            most = min(most, max(0, UNSAMPLEABLE_LENGTH - len(prompt)))
        assert reader.tokens == expected.tokens[:most]
        assert isinstance(reader.error, UsageError) == (most < len(expected.tokens))
    run.check_nothing_leaks(may_hold_more=True, max_surplus=_SURPLUS)

"""What was asked and told comes back as it was."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.api.results import PromptCounts, PromptLogprob, Timings, TokenEvent
from cluster.api.sampling import PARAM_NAMES, SamplingParams
from cluster.coordinator.journal.columns import is_plain
from cluster.coordinator.journal.kept import Kept
from tests.unit.coordinator.journal.samples import LAST, asked, kept_at, opened, tell, token

# Of each parameter a value that is not its default.
CHANGED: dict[str, Any] = {
    "max_tokens": None,
    "temperature": 0.1,
    "top_k": 7,
    "top_p": 0.3,
    "min_p": 0.01,
    "typical_p": 0.7,
    "top_n_sigma": 1.5,
    "xtc_probability": 0.2,
    "xtc_threshold": 0.3,
    "dynatemp_range": 0.4,
    "dynatemp_exponent": 2.5,
    "seed": 2**63 - 1,
    "repeat_penalty": 1.1,
    "repeat_last_n": -1,
    "presence_penalty": -0.1,
    "frequency_penalty": 0.7,
    "dry_multiplier": 0.8,
    "dry_base": 1.1,
    "dry_allowed_length": 9,
    "dry_penalty_last_n": 33,
    "dry_sequence_breakers": (),
    "mirostat": 2,
    "mirostat_tau": 3.3,
    "mirostat_eta": 0.3,
    "adaptive_target": 0.4,
    "adaptive_decay": 0.8,
    "samplers": ("top_k", "temperature"),
    "logit_bias": ((5, -math.inf), (6, 1.25)),
    "min_tokens": 3,
    "stop": ("\n\n", "\u00e4\u20ac"),
    "stop_token_ids": (3, 2**31 - 1),
    "logprobs": 20,
    "ignore_eos": True,
    "prompt_logprobs": 0,
    "grammar": '%llguidance {}\nstart: "a"',
    "grammar_prefix": "a",
    "shown_tokens": (9, 8),
    "report_progress": True,
    "lora": ((0, 0.5), (3, -1.0)),
}
TOP = ((7, -0.25), (8, -math.inf))
# Of each field of an event something that a plain one does not have.
MORE: dict[str, Any] = {
    "token": None,
    "text": "\u20ac" * 3000,
    "logprob": None,
    "top": TOP,
    "timings": Timings(1, 2, 3, 0.5, 1.5, 2.5),
    "stop_string": "",
    "prompt": PromptCounts(9, 8, 7),
    "prompt_logprobs": (PromptLogprob(4, None), PromptLogprob(5, -0.5, TOP)),
}

COUNTS = st.integers(0, 2**32 - 1)
TOKENS = st.integers(0, 2**31 - 1)
LOGPROBS = st.floats(max_value=0, allow_nan=False)
TOPS = st.lists(st.tuples(TOKENS, LOGPROBS), max_size=20).map(tuple)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
EVENTS = st.builds(token, st.integers(0, 2**31 - 1)) | st.builds(
    TokenEvent,
    st.none() | TOKENS,
    TEXTS,
    st.none() | LOGPROBS,
    TOPS,
    timings=st.none() | st.builds(Timings, COUNTS, COUNTS, COUNTS, *[st.floats(0, 1e9)] * 3),
    stop_string=st.none() | TEXTS,
    prompt=st.none() | st.builds(PromptCounts, COUNTS, COUNTS, COUNTS),
)


def test_every_parameter_comes_back(tmp_path: Path) -> None:
    assert set(CHANGED) == set(PARAM_NAMES)
    assert all(getattr(SamplingParams(), name) != value for name, value in CHANGED.items())
    every = [
        *(asked(number, params=SamplingParams(**{name: CHANGED[name]})) for number, name in enumerate(CHANGED)),
        asked(1000, params=SamplingParams(**CHANGED)),
        asked(1001, token_ids=(), client="", scales=(0.5, -1e6, 0.0)),
    ]
    with opened(tmp_path / "journal") as (journal, _):
        for one in every:
            journal.begin(one)
    assert kept_at(tmp_path / "journal") == [Kept(one, ()) for one in every]


def test_every_field_of_an_event_comes_back(tmp_path: Path) -> None:
    assert {*MORE, "finish_reason"} == {field.name for field in fields(TokenEvent)}
    events = [token(1), *(replace(token(2), **{name: value}) for name, value in MORE.items()), token(3)]
    events.append(replace(token(4), **MORE))
    with opened(tmp_path / "journal") as (journal, _):
        journal.begin(asked(1))
        for event in events:
            tell(journal, 1, event)
    assert kept_at(tmp_path / "journal") == [Kept(asked(1), tuple(events))]


def test_nothing_of_an_event_is_left_out_of_a_column() -> None:
    changed = {name: value for name, value in MORE.items() if name != "text"}
    assert is_plain(token(1))
    assert not [name for name, value in changed.items() if is_plain(replace(token(1), **{name: value}))]
    assert not is_plain(LAST)


@settings(max_examples=20, deadline=None)
@given(told=st.lists(st.tuples(st.integers(0, 2), EVENTS), max_size=12), reopen=st.booleans())
def test_events_of_several_requests_keep_their_order(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[int, TokenEvent]], reopen: bool
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    with opened(path) as (journal, _):
        for number in range(3):
            journal.begin(asked(number))
        for number, event in told:
            tell(journal, number, event)
    wanted = [Kept(asked(one), tuple(event for number, event in told if number == one)) for one in range(3)]
    for _ in range(1 + reopen):  # the second finds what the first has rewritten
        assert kept_at(path) == wanted


def test_what_was_kept_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with opened(path) as (journal, kept):
        assert kept == []
        for number in (3, 1, 2):
            journal.begin(asked(number))
        tell(journal, 1, token(1))
        journal.end(asked(2).ticket)
    with opened(path) as (journal, kept):
        assert kept == [Kept(asked(3), ()), Kept(asked(1), (token(1),))]
        tell(journal, 1, token(2))
        tell(journal, 2, token(9))  # it has ended
        journal.begin(asked(4))
    assert kept_at(path) == [Kept(asked(3), ()), Kept(asked(1), (token(1), token(2))), Kept(asked(4), ())]


def test_very_many_tokens_at_once(tmp_path: Path) -> None:
    """More than one record holds."""
    path = tmp_path / "journal"
    events = tuple(map(token, range(1000)))
    with opened(path) as (journal, _):
        journal.begin(asked(1))
        tell(journal, 1, *events)
    for _ in range(2):
        assert kept_at(path) == [Kept(asked(1), events)]

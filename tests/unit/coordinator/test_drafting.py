"""Where tokens may be guessed ahead, and what is said where they may not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.api.embedding import Pooling
from cluster.api.errors import UsageError
from cluster.coordinator.abilities import draft_state, drafter_for, limits_of
from cluster.coordinator.spec import CoordinatorSpec
from cluster.engine.drafting.lookup import LookupDrafter
from cluster.planning.coordinator_specs import text_coordinator
from tests.fakes.fake_stages import VOCABULARY
from tests.unit.actors.supervising.test_repairer import COORDINATOR


@pytest.mark.parametrize("draft", ["auto", "ngram"])
def test_it_drafts_where_slots_can_go_back(draft: str) -> None:
    spec = replace(COORDINATOR, draft=draft)
    assert isinstance(drafter_for(spec), LookupDrafter)
    assert draft_state(spec) == draft
    assert limits_of(spec, VOCABULARY).max_drafting == (2 if draft == "auto" else spec.num_slots)


@pytest.mark.parametrize(
    "spec",
    [
        replace(COORDINATOR, can_truncate=False, draft="auto"),
        replace(COORDINATOR, is_encoder=True, draft="auto"),
        replace(COORDINATOR, pooling=Pooling.RANK, draft="auto"),
    ],
)
def test_it_is_silently_off_elsewhere_and_the_status_tells(spec: CoordinatorSpec) -> None:
    assert drafter_for(spec) is None
    assert draft_state(spec).startswith("off: ")


def test_off_is_off() -> None:
    spec = replace(COORDINATOR, draft="off")
    assert drafter_for(spec) is None
    assert draft_state(spec) == "off"


@pytest.mark.parametrize(("asked", "max_runs"), [(0, 4), (1, 1), (2, 2), (99, 4)])
def test_as_many_drafts_are_under_way_as_there_are_places(asked: int, max_runs: int) -> None:
    assert limits_of(replace(COORDINATOR, num_stages=3, draft_runs=asked), VOCABULARY).max_runs == max_runs


def planned(draft: str, *, can_truncate: bool) -> CoordinatorSpec:
    config = SimpleNamespace(
        parallel=2,
        ubatch_size=8,
        max_waiting=1,
        pipeline_prompts=True,
        host="127.0.0.1",
        port=0,
        patience_s=0,
        journal=False,
        local_sockets=True,
        draft=draft,
        draft_runs=0,
    )
    source = SimpleNamespace(display_name="m")
    found: Any = SimpleNamespace(config=config, source=source, model_hash="ab", devices=("CPU",))
    model: Any = SimpleNamespace(
        architecture="mamba", header=SimpleNamespace(num_parameters=1, weight_bytes=1), is_encoder=False
    )
    return text_coordinator(found, model, context_length=8, row_bytes=1, can_truncate=can_truncate, plan="")


def test_it_cannot_be_asked_for_with_running_states() -> None:
    assert planned("ngram", can_truncate=True).draft == "ngram"
    assert planned("auto", can_truncate=False).draft == "auto"
    with pytest.raises(UsageError, match=r"draft: m \(mamba\) keeps running states.*leave --draft out"):
        planned("ngram", can_truncate=False)

"""Two stages whose tokens another model guesses: the texts are those without it."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import cluster
from cluster.api.results import Completion
from cluster.coordinator.drafting import drafter
from cluster.coordinator.service import CoordinatorService
from cluster.demo import model_path
from cluster.engine.drafting.pace import Pace
from tests.fakes.wire_backends import wait_until
from tests.native.drafting.models import write_shuffled
from tests.native.programs.serving import ServedProgram, served_program

NUM_TOKENS = 48
GREEDY = cluster.SamplingParams(temperature=0.0, max_tokens=NUM_TOKENS, ignore_eos=True)
SAMPLED = cluster.SamplingParams(temperature=0.9, seed=3, repeat_penalty=1.2, max_tokens=NUM_TOKENS, ignore_eos=True)
# The longest prompt is read by the model that drafts before it guesses.
PROMPTS = ("Once upon a time", "Tom lost his ball, and " + "the dog ran to the park with it, and " * 8)


@pytest.fixture(autouse=True)
def _paces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else the machine does: a step takes as long with more rows, a guess a twentieth, and none is late."""
    monkeypatch.setattr(Pace, "plain_s", lambda *_, **__: 1.0)
    monkeypatch.setattr(Pace, "step_s", lambda *_, **__: 1.0)
    monkeypatch.setattr(drafter.ModelDrafter, "draft_s", lambda _, number, length: 0.05 * length)
    monkeypatch.setattr(drafter, "LATE_S", 10.0)


def texts(served: ServedProgram) -> list[Completion]:
    with served.client() as client:
        return [client.generate(prompt, params) for prompt in PROMPTS for params in (GREEDY, SAMPLED)]


def loaded(served: ServedProgram) -> ServedProgram:
    with served.client() as client:
        wait_until(lambda: "loaded" not in client.status().draft, 60)
    return served


@pytest.fixture(scope="module")
def plain() -> list[Completion]:
    with served_program(Path(model_path()), 2, ctx_size=256, parallel=2) as served:
        return texts(served)


def assert_same(found: Sequence[Completion], plain: Sequence[Completion]) -> None:
    for one, other in zip(found, plain, strict=True):
        assert (one.token_ids, one.text, one.finish_reason) == (other.token_ids, other.text, other.finish_reason)


def test_a_model_that_guesses_itself_is_right_and_its_end_ends_no_request(plain: list[Completion]) -> None:
    with served_program(Path(model_path()), 2, ctx_size=256, parallel=2, draft=str(model_path())) as served:
        found = texts(loaded(served))
        with served.client() as client:
            status = client.status()
            both = client.generate(list(PROMPTS), GREEDY)
        assert_same(found, plain)
        assert_same(both, plain[::2])
        assert status.draft == "demo.gguf on CPU"
        assert status.num_drafted == sum(one.timings.num_drafted for one in found)
        # Of the other prompt it would end the text, which is not let end.
        assert found[0].timings.num_drafted >= 20
        assert found[0].timings.num_accepted > 0.9 * found[0].timings.num_drafted
        end_while_it_is_asked(served, plain)


def end_while_it_is_asked(served: ServedProgram, plain: list[Completion]) -> None:
    coordinator = served.coordinator
    assert isinstance(coordinator, CoordinatorService)
    assert coordinator._draft_model is not None
    with served.client() as client:
        stream = client.stream(PROMPTS[0], GREEDY)
        told = [next(stream).token]
        pid = coordinator._draft_model.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        told += [event.token for event in stream]
        assert tuple(told) == plain[0].token_ids
        wait_until(lambda: coordinator._draft_model is not None and coordinator._draft_model.pid not in (None, pid), 30)
        wait_until(lambda: client.status().draft == "demo.gguf on CPU", 60)
        after = client.generate(PROMPTS[0], GREEDY)
    assert_same([after], plain[:1])
    assert after.timings.num_drafted > 0, "it was loaded again"


def test_a_model_that_guesses_wrong_is_not_asked_for_long(plain: list[Completion], tmp_path: Path) -> None:
    other = write_shuffled(tmp_path / "other.gguf")
    with served_program(Path(model_path()), 2, ctx_size=256, parallel=2, draft=str(other)) as served:
        found = texts(loaded(served))
        with served.client() as client:
            after = client.generate(PROMPTS[0], replace(GREEDY, max_tokens=200))
    assert_same(found, plain)
    num_drafted = sum(one.timings.num_drafted for one in found)
    assert num_drafted > 0
    assert sum(one.timings.num_accepted for one in found) < num_drafted / 3
    assert after.timings.num_drafted < 60, "it was switched off by what it did before"

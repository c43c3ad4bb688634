"""Grammars at the coordinator's door: compiled here first, then by the last stage, and never too many."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster.api.errors import CancelledError, CapacityError, UsageError
from cluster.api.sampling import MAX_GRAMMAR_BYTES, SamplingParams
from cluster.coordinator.grammars import MAX_BYTES, MAX_READY, Grammars
from cluster.engine.events import Output
from tests.unit.grammar.test_checker import HOSTILE

LARGE = SamplingParams(grammar="//" + "x" * (MAX_GRAMMAR_BYTES - 2))


class LastStage:
    """What it was asked to compile."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refuses = ""

    def compile(self, grammar: str) -> None:
        self.asked.append(grammar)
        if grammar == self.refuses:
            raise UsageError("grammar: it names a token that this model has not; correct it")


@pytest.fixture
def stage() -> LastStage:
    return LastStage()


@pytest.fixture
def grammars(stage: LastStage) -> Iterator[Grammars]:
    made = Grammars(stage.compile)
    yield made
    made.close()


def test_what_is_bad_or_hostile_never_comes_to_a_stage(grammars: Grammars, stage: LastStage) -> None:
    for grammar in ("start: nowhere", HOSTILE["for ever"], HOSTILE["deep"]):
        for _ in range(2):
            with pytest.raises(UsageError, match=r"^grammar: "):
                grammars.check(grammar)
    assert stage.asked == []


def test_what_is_ready_is_not_asked_for_again(grammars: Grammars, stage: LastStage) -> None:
    for _ in range(3):
        grammars.check('start: "a"')
    assert len(stage.asked) == 1
    for number in range(MAX_READY):
        grammars.check(f'start: "{number}"')
    grammars.check('start: "a"')
    assert stage.asked.count('start: "a"') == 2


def test_what_the_stage_refuses_is_asked_for_again(grammars: Grammars, stage: LastStage) -> None:
    stage.refuses = "start: <nowhere>"
    for _ in range(2):
        with pytest.raises(UsageError, match="names a token"):
            grammars.check(stage.refuses)
    assert len(stage.asked) == 2


def test_the_room_of_a_grammar_is_free_when_its_request_has_ended(grammars: Grammars) -> None:
    answers: list[Output] = []
    sinks = [grammars.admit(LARGE, answers.append) for _ in range(MAX_BYTES // MAX_GRAMMAR_BYTES)]
    with pytest.raises(CapacityError, match="too many large ones"):
        grammars.admit(LARGE, answers.append)
    assert grammars.admit(SamplingParams(), answers.append) == answers.append
    sinks[0](CancelledError("request: its client is gone"))
    grammars.admit(LARGE, answers.append)
    assert len(answers) == 1

"""Stages that record what is sent to them, and readers that record what they are told."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cluster.api.errors import ClusterError
from cluster.engine.calls.engine import CallEngine
from cluster.messages.program import Array, Arrays, CallFailure, ProgramResult, ProgramStep
from cluster.messages.step import StepId

Answer = Arrays | ClusterError


def arrays_of(number: int) -> Arrays:
    return {"x": Array("int32", (1,), np.array([number], np.int32).view(np.uint8))}


def number_of(arrays: Arrays) -> int:
    return int(arrays["x"].data.view(np.int32)[0])


@dataclass
class RecordingStages:
    """Keeps what was submitted; raises `error`, once there is one."""

    sent: list[ProgramStep] = field(default_factory=list)
    error: ClusterError | None = None

    def submit(self, step: ProgramStep) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(step)

    @property
    def numbers(self) -> list[int]:
        return [number_of(step.arrays) for step in self.sent]


class World:
    """An engine over such stages, and what each call was told, by the number in its array."""

    def __init__(self, num_stages: int = 1, max_waiting: int = 100, patience_s: float = 0.0) -> None:
        self.stages = RecordingStages()
        self.engine = CallEngine(self.stages, num_stages, max_waiting, now=lambda: 0.0, patience_s=patience_s)
        self.told: dict[int, list[Answer]] = {}

    def ask(self, number: int, client: str = "one") -> int:
        answers = self.told.setdefault(number, [])
        return self.engine.submit((number,), arrays_of(number), answers.append, client)

    def answer(self, step: ProgramStep, failure: CallFailure | None = None) -> None:
        arrays = {} if failure else {"x": arrays_of(number_of(step.arrays) * 10)["x"]}
        self.engine.deliver(ProgramResult(step.id, arrays, failure))

    def answer_next(self, place: int) -> None:
        self.answer(self.stages.sent[place])

    def results(self, number: int) -> list[int]:
        return [number_of(one) for one in self.told[number] if not isinstance(one, ClusterError)]

    def error(self, number: int) -> ClusterError:
        (found,) = self.told[number]
        assert isinstance(found, ClusterError)
        return found


def step_id(epoch: int, lane: int, step: int) -> StepId:
    return StepId(epoch, lane, step)

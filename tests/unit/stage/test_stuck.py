"""A step that does not end is told of, and whoever owns the process is asked to end it."""

from __future__ import annotations

import queue
import threading

import pytest

from cluster.api.errors import StageLostError
from cluster.api.sampling import SamplingParams
from cluster.messages.stage import StageCosts
from cluster.messages.step import Microbatch
from cluster.stage import stuck
from cluster.stage.runner import StageRunner
from cluster.stage.spec import OnProgress, StageSpec
from cluster.stage.stuck import ALWAYS_S, StuckWatch, most_s
from tests.fakes.fake_model import FakeModel, fake_runner, load_fake
from tests.fakes.fake_pipeline import answer_of, running_pipeline
from tests.fakes.wire_backends import no_thread_left


def test_a_step_that_takes_too_long_is_told_of_once() -> None:
    told = queue.SimpleQueue[float]()
    with no_thread_left():
        watch = StuckWatch(told.put, check_s=0.01)
        watch.start()
        with watch.step(0.05):
            assert told.get(timeout=10) >= 0.05
            assert not threading.Event().wait(0.2)
        with watch.step(60):
            assert not threading.Event().wait(0.2)
        assert not threading.Event().wait(0.2), "between two steps nobody is stuck"
        assert told.empty()
        watch.stop()


def test_how_long_a_step_may_take_goes_by_what_the_stage_measured() -> None:
    assert most_s(StageCosts(), 512) == ALWAYS_S
    assert most_s(StageCosts(((1, 40.0), (2, 50.0))), 512) == pytest.approx(ALWAYS_S + 10 * 512 * 0.05)


def test_a_device_that_hangs_is_told_to_the_coordinator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stuck, "ALWAYS_S", 0.1)
    device_answers, given_up = threading.Event(), threading.Event()

    def hangs(batch: Microbatch) -> None:
        device_answers.wait(30)

    def load(spec: StageSpec, report: OnProgress) -> StageRunner:
        return fake_runner(spec, FakeModel(spec, before_forward=hangs))

    with no_thread_left(), running_pipeline([load_fake, load]) as pipeline:
        pipeline.services[1]._give_up = given_up.set
        _, error = answer_of(pipeline.ask([3, 1, 4], SamplingParams(seed=1, max_tokens=4)))
        assert isinstance(error, StageLostError)
        assert "stage 1: lost: a step has not ended for 1 s: its device hangs" in str(error)
        assert given_up.wait(10)
        device_answers.set()

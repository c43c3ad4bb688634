"""A stage that begins anew, with the layers of a real model: it is given its rows, and goes on as if it had not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cluster.api.sampling import SamplingParams
from cluster.messages.step import SlotSampling, SlotStart, StepResult
from cluster.stage.loading import runner_of
from cluster.stage.models.gguf import GgufModel
from cluster.stage.runner import StageRunner
from tests.native.tiny_model import TinyModel, write_model
from tests.unit.stage.test_slots import NUM_SLOTS, PROMPTS, Pipeline, stage_spec

MODEL = TinyModel()
BOUNDS = (0, 1, 3, 4)
NUM_STAGES = len(BOUNDS) - 1
SLOTS = [0, 1, 5]
PARAMS = SamplingParams(seed=5, temperature=0.7, repeat_penalty=1.3, logprobs=2)
NUM_STEPS = 6

Load = Callable[[int], StageRunner]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    with ExitStack() as stack:

        def stage_of(stage: int) -> StageRunner:
            layers = (BOUNDS[stage], BOUNDS[stage + 1])
            path = write_model(tmp_path / f"{stage}.gguf", MODEL, layers)
            spec = replace(stage_spec(stage, NUM_STAGES, layers), keep_bytes=1 << 20)
            model = GgufModel(spec, spec.options, str(path), "build", True, lambda _: None)
            runner = runner_of(spec, model)
            stack.callback(runner.close)
            return runner

        yield stage_of


def texts(pipeline: Pipeline, result: StepResult, first: int, num_steps: int) -> list[list[int]]:
    """The tokens of each slot, from a step at position `first` on."""
    found = [[sampled.token for sampled in result.sampled]]
    for at in range(first, first + num_steps):
        result = pipeline.go_on(result, at)
        found.append([sampled.token for sampled in result.sampled])
    return [list(column) for column in zip(*found, strict=True)]


@pytest.mark.parametrize("lost", [(0,), (1,), (2,), (0, 1), (0, 2)])
def test_it_goes_on_as_if_nothing_had_been(load: Load, lost: tuple[int, ...]) -> None:
    whole = Pipeline([load(stage) for stage in range(NUM_STAGES)])
    wanted = texts(whole, whole.begin(SLOTS, PARAMS), 3, 2 * NUM_STEPS)

    pipeline = Pipeline([load(stage) for stage in range(NUM_STAGES)])
    had = texts(pipeline, pipeline.begin(SLOTS, PARAMS), 3, NUM_STEPS)
    for stage in lost:
        pipeline.stages[stage] = load(stage)
    rows = []
    for slot, tokens in zip(SLOTS, had, strict=True):
        rows += [(slot, at, token) for at, token in enumerate([*PROMPTS[slot], *tokens[:-1]])]
    starts = tuple(SlotStart(slot, slot, 0) for slot in SLOTS)
    new = tuple(SlotSampling(slot, PARAMS, 3) for slot in SLOTS) if NUM_STAGES - 1 in lost else ()
    none = np.zeros(len(rows), np.bool_)
    nothing = {"samples": np.empty(0, np.int32), "wants_logits": none}
    given = pipeline.step(rows, **nothing, slot_starts=starts, new_sampling=new, restores=lost)
    assert not given.sampled
    assert not given.failures

    last = {slot: tokens[-1] for slot, tokens in zip(SLOTS, had, strict=True)}
    at = len(PROMPTS[0]) + NUM_STEPS
    result = pipeline.step([(slot, at, token) for slot, token in last.items()])
    went_on = texts(pipeline, result, at + 1, NUM_STEPS - 1)
    assert [[*before, *after] for before, after in zip(had, went_on, strict=True)] == wanted


def test_rows_are_kept_up_to_a_bound_and_of_the_slots_that_hold_them(load: Load) -> None:
    pipeline = Pipeline([load(stage) for stage in range(NUM_STAGES)])
    result = pipeline.begin(SLOTS, PARAMS)
    first, middle, last = pipeline.stages
    assert first.kept == middle.kept == tuple(3 if slot in SLOTS else 0 for slot in range(NUM_SLOTS))
    assert last.kept == ()
    pipeline.go_on(result, 3, slot_starts=(SlotStart(1, 1, 3),))
    assert first.kept[0] == first.kept[1] == 4
    first.reset()
    assert first.kept == (0,) * NUM_SLOTS
    with pytest.raises(LookupError, match="are kept"):
        nothing = {"samples": np.empty(0, np.int32), "wants_logits": np.zeros(1, np.bool_)}
        pipeline.step([(0, 0, 1)], **nothing, restores=(1,))

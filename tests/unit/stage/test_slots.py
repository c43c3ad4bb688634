"""What a stage cannot do for one slot is told for that slot; the others get, bit for bit, what they get without it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cluster.api.sampling import RANGES, SamplingParams
from cluster.messages.step import (
    Microbatch,
    SampledStep,
    SampledToken,
    SlotFailure,
    SlotSampling,
    SlotStart,
    StepId,
    StepResult,
)
from cluster.sources.source import ModelSource
from cluster.stage.loading import runner_of
from cluster.stage.models.gguf import GgufModel
from cluster.stage.runner import StageRunner
from cluster.stage.spec import GgufOptions, StageSpec
from tests.native.tiny_model import TinyModel, write_model

MODEL = TinyModel()
NUM_SLOTS = 8
NAN_TOKEN = 13
FAULTY = 2  # the slot
PROMPTS = {slot: [20 + slot, 3, 40 + slot] for slot in range(NUM_SLOTS)}


class Pipeline:
    """The stages of a model, one after the other, as the service would run them."""

    def __init__(self, stages: list[StageRunner]) -> None:
        self.stages = stages
        self._step = 0

    def run(self, batch: Microbatch) -> StepResult:
        hidden = None
        for stage in self.stages:
            output = stage.run(batch, hidden)
            if output.result is not None:
                assert isinstance(output.result, StepResult)
                return output.result
            assert isinstance(output.passed, Microbatch)
            hidden, batch = output.hidden, output.passed
        raise AssertionError("the last stage gives a result")

    def step(self, rows: list[tuple[int, int, int]], **changes: object) -> StepResult:
        """Rows of (slot, position, token); a token is sampled from the last one of each slot."""
        slots, positions, tokens = (np.array(column, np.int32) for column in zip(*rows, strict=True))
        samples = np.flatnonzero(np.append(slots[1:] != slots[:-1], True)).astype(np.int32)
        wants = np.zeros(len(slots), np.bool_)
        wants[samples] = True
        fields = {"samples": samples, "returns_logits": samples[:0], "wants_logits": wants, **changes}
        self._step += 1
        return self.run(Microbatch(StepId(1, 0, self._step), tokens, positions, slots, **fields))  # type: ignore[arg-type]

    def begin(self, slots: list[int], params: SamplingParams, **changes: object) -> StepResult:
        """The prompts of these slots, from nothing."""
        rows = [(slot, at, token) for slot in slots for at, token in enumerate(PROMPTS[slot])]
        start = {
            "slot_starts": tuple(SlotStart(slot, slot, 0) for slot in slots),
            "new_sampling": tuple(SlotSampling(slot, params, 1) for slot in slots),
        }
        return self.step(rows, **(start | changes))

    def go_on(self, result: StepResult, position: int, **changes: object) -> StepResult:
        """A row for each slot of the result, as if it had been sent ahead: those that failed get one too."""
        sampled = SampledStep.of(result)
        pairs = sorted(zip(sampled.slots.tolist(), sampled.tokens.tolist(), strict=True))
        return self.step([(slot, position, token) for slot, token in pairs], **changes)


@pytest.fixture(params=[1, 2], ids=["one stage", "two stages"])
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pipeline]:
    embedding = MODEL.tensors()["token_embd.weight"].copy()
    embedding[NAN_TOKEN] = np.nan
    bounds = [0, 4] if request.param == 1 else [0, 2, 4]
    with ExitStack() as stack:
        stages = []
        for stage in range(request.param):
            layers = (bounds[stage], bounds[stage + 1])
            changes = {"token_embd.weight": embedding} if stage == 0 else None
            path = write_model(tmp_path / f"{stage}.gguf", MODEL, layers, changes=changes)
            spec = stage_spec(stage, request.param, layers)
            model = GgufModel(spec, spec.options, str(path), "build", True, lambda _: None)
            stages.append(runner_of(spec, model))
            stack.callback(stages[-1].close)
        yield Pipeline(stages)


def stage_spec(stage: int, num_stages: int, layers: tuple[int, int]) -> StageSpec:
    return StageSpec(
        stage=stage,
        num_stages=num_stages,
        node="localhost",
        source=ModelSource("tiny", ()),
        model_hash="",
        first=layers[0],
        end=layers[1],
        device="CPU",
        context_length=32,
        num_slots=NUM_SLOTS,
        ubatch_size=32,
        num_threads=1,
        num_threads_exclusive=1,
        first_core=None,
        options=GgufOptions("f16", "f16", "off"),  # where what is masked is multiplied all the same
    )


PARAMS = SamplingParams(seed=5, temperature=1.5, repeat_penalty=1.3, logprobs=3)


def _past_the_checks(**changes: object) -> SamplingParams:
    params = replace(PARAMS)
    for name, value in changes.items():
        object.__setattr__(params, name, value)
    return params


def _bad_sampler(name: str, value: object) -> dict[str, object]:
    bad = SlotSampling(FAULTY, _past_the_checks(**{name: value}), 1)
    return {
        "new_sampling": tuple(bad if slot == FAULTY else SlotSampling(slot, PARAMS, 1) for slot in range(NUM_SLOTS))
    }


def _bad_start(source: int, length: int) -> dict[str, object]:
    bad = SlotStart(FAULTY, source, length)
    return {"slot_starts": tuple(bad if slot == FAULTY else SlotStart(slot, slot, 0) for slot in range(NUM_SLOTS))}


def _with_row(position: int, token: int) -> Callable[[Pipeline], StepResult]:
    """All prompts, one of them with another row in its middle."""

    def run(pipeline: Pipeline) -> StepResult:
        rows = [(slot, at, item) for slot in range(NUM_SLOTS) for at, item in enumerate(PROMPTS[slot])]
        rows[rows.index((FAULTY, 1, PROMPTS[FAULTY][1]))] = (FAULTY, position, token)
        starts = tuple(SlotStart(slot, slot, 0) for slot in range(NUM_SLOTS))
        new = tuple(SlotSampling(slot, PARAMS, 1) for slot in range(NUM_SLOTS))
        return pipeline.step(rows, slot_starts=starts, new_sampling=new)

    return run


def _begin(**changes: object) -> Callable[[Pipeline], StepResult]:
    return lambda pipeline: pipeline.begin(list(range(NUM_SLOTS)), PARAMS, **changes)


FAULTS = {
    "penalty": _begin(**_bad_sampler("repeat_penalty", 1e-4)),
    "not a number": _begin(**_bad_sampler("temperature", float("nan"))),
    "too many logprobs": _begin(**_bad_sampler("logprobs", MODEL.vocab_size + 1)),
    "beyond 64 bits": _begin(**_bad_sampler("top_k", 2**64)),
    "of another type": _begin(**_bad_sampler("top_p", "0.5")),
    "a start from nothing": _begin(**_bad_start(1, 9)),
    "a start from no slot": _begin(**_bad_start(99, 0)),
    "a start of negative length": _begin(**_bad_start(FAULTY, -1)),
    "a position that does not follow": _with_row(7, 3),
    "a token outside of the vocabulary": _with_row(1, MODEL.vocab_size),
    "a text without numbers": _with_row(1, NAN_TOKEN),
    "an earlier stage": _begin(failures=(SlotFailure(FAULTY, "UsageError", "stage 9: it could not"),)),
}


def without_faulty(result: StepResult) -> dict[int, SampledToken]:
    """By slot; which row it was depends on how many there were."""
    return {sampled.slot: replace(sampled, row=0) for sampled in result.sampled if sampled.slot != FAULTY}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_slot_fails_and_the_others_do_not_notice(pipeline: Pipeline, fault: str) -> None:
    others = [slot for slot in range(NUM_SLOTS) if slot != FAULTY]
    first = pipeline.begin(others, PARAMS)
    second = pipeline.go_on(first, 3)
    alone = pipeline.begin([FAULTY], PARAMS)
    for stage in pipeline.stages:
        stage.reset()

    failed = FAULTS[fault](pipeline)
    (failure,) = failed.failures
    assert failure.slot == FAULTY
    assert failure.reason.startswith("stage ")
    assert failure.reason.isprintable()
    assert without_faulty(failed) == without_faulty(first)
    # The step after it was sent ahead, with a row of the slot that failed.
    ahead = pipeline.go_on(failed, 3)
    assert [again.slot for again in ahead.failures] == [FAULTY]
    assert without_faulty(ahead) == without_faulty(second)
    anew = pipeline.begin([FAULTY], PARAMS)
    assert (anew.sampled, anew.failures) == (alone.sampled, ())


def test_logits_of_the_other_slots_stand_in_their_places(pipeline: Pipeline) -> None:
    rows = [(slot, at, token) for slot in (1, FAULTY, 3) for at, token in enumerate(PROMPTS[slot])]
    everything = np.arange(9, dtype=np.int32)
    asked = {"samples": everything[:0], "returns_logits": everything, "wants_logits": np.ones(9, np.bool_)}
    starts = tuple(SlotStart(slot, slot, 0) for slot in (1, FAULTY, 3))
    sound = pipeline.step(rows, slot_starts=starts, **asked)
    bad = (starts[0], SlotStart(FAULTY, 7, 3), starts[2])
    failed = pipeline.step(rows, slot_starts=bad, **asked)
    assert [failure.slot for failure in failed.failures] == [FAULTY]
    assert failed.logits is not None
    assert sound.logits is not None
    expected = sound.logits.copy()
    expected[3:6] = 0
    assert np.array_equal(failed.logits, expected)


def test_a_step_of_which_nothing_is_left_fails_slot_by_slot(pipeline: Pipeline) -> None:
    failed = pipeline.begin([FAULTY], PARAMS, slot_starts=(SlotStart(FAULTY, 7, 3),))
    assert (failed.sampled, [failure.slot for failure in failed.failures]) == ((), [FAULTY])
    assert pipeline.begin([FAULTY], PARAMS).failures == ()


def _random_params(draw: random.Random) -> SamplingParams:
    """Each number anywhere in its range, or at its very ends."""
    chosen: dict[str, float] = {}
    for name, allowed in RANGES.items():
        ends = [allowed.low, allowed.high, min(max(0, allowed.low), allowed.high), min(1, allowed.high)]
        between = (
            draw.randint(int(allowed.low), int(allowed.high))
            if allowed.is_whole
            else (draw.uniform(allowed.low, allowed.high))
        )
        chosen[name] = draw.choice([*ends, between, between, between])
    # Without the texts of tokens, as here, there are no breakers of repetitions.
    return SamplingParams(**chosen, dry_sequence_breakers=())  # type: ignore[arg-type]


def test_ten_thousand_requests_beside_one_stream(pipeline: Pipeline) -> None:
    draw = random.Random(1)
    victim, slots = NUM_SLOTS - 1, list(range(NUM_SLOTS))
    expected = pipeline.begin(slots, PARAMS).sampled[-1]
    for _ in range(10_000 // (NUM_SLOTS - 1) + 1):
        new = [SlotSampling(slot, PARAMS if slot == victim else _random_params(draw), 1) for slot in slots]
        result = pipeline.begin(slots, PARAMS, new_sampling=tuple(new))
        assert result.failures == (), new
        assert result.sampled[-1] == expected

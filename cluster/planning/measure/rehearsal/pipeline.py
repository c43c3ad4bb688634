"""The engine of a rehearsal, and what it sees of the stages' steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import mean, median

from cluster.api.errors import ClusterError, UnreachableError
from cluster.api.results import TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.coordinator.spec import StageEndpoint
from cluster.coordinator.stages import WiredStages
from cluster.engine.cost.decode import most_lanes_of, rows_per_lane
from cluster.engine.events import Output, is_last
from cluster.engine.limits import Limits
from cluster.engine.loop import Engine
from cluster.messages.stage import StageCosts
from cluster.messages.step import StepTiming
from cluster.node.secret import Secret
from cluster.planning.measure.rehearsal.cast import CONTEXT_LENGTH, Cast, Figures, Scene, Watched
from cluster.planning.measure.rehearsal.stages import running_stages
from cluster.wire.access.keys import Keys

PROMPT_LENGTH = 32  # steps at the contexts of a short answer
SECOND_PASS_S = 4.5  # after the beginning; later, one pass over all scenes has to do: long steps vary less
RUN_S = 0.25  # that steps of one kind are watched for, and at least so many rounds
LEAST_ROUNDS = 4
SETTLED_TOKENS = 3  # each sequence has these: by then all of them are decoded
POLL_S = 0.005
RECORDS_DELAY_S = 0.2  # stages tell what steps took once they were quiet for a moment
TOKEN_TIMEOUT_S = 60.0
SCENE_TIMEOUT_S = 60.0
_PARAMS = SamplingParams(max_tokens=CONTEXT_LENGTH - PROMPT_LENGTH, temperature=0.0, ignore_eos=True, seed=0)
_TWO_TOKENS = replace(_PARAMS, max_tokens=2)


def rehearse(cast: Cast, scenes: Sequence[Scene]) -> Figures:
    """Play all scenes. ClusterError if the pipeline does not come about, or yields no token."""
    keys, begun_s = Keys(Secret.new()), time.monotonic()
    with running_stages(cast, keys) as ends, _pipeline(cast, ends, keys) as pipeline:
        played = [[pipeline.play(scene) for scene in scenes]]
        if time.monotonic() < begun_s + SECOND_PASS_S:
            played.append([pipeline.play(scene) for scene in scenes])
    return Figures(tuple(end.costs.decode_ms for end in ends), tuple(map(_typical, *played)))


class _Vocabulary:
    """As many tokens as the model has, all without text."""

    end_tokens: frozenset[int] = frozenset()

    def __init__(self, num_tokens: int) -> None:
        self.num_tokens = num_tokens

    def token_bytes(self, token: int, render_special: bool = False) -> bytes:
        return b""


@contextmanager
def _pipeline(cast: Cast, ends: tuple[StageEndpoint, ...], keys: Keys) -> Iterator[_Pipeline]:
    spec = cast.specs[0]
    limits = Limits(spec.num_slots, CONTEXT_LENGTH, spec.ubatch_size, len(ends))
    stages = WiredStages(keys)
    engine = Engine(stages, _Vocabulary(cast.model.vocab_size), limits)
    thread = threading.Thread(target=engine.run, name="engine", daemon=True)
    thread.start()
    try:
        yield _Pipeline(stages, engine, ends, cast.model.vocab_size)
    finally:
        engine.stop()
        thread.join(TOKEN_TIMEOUT_S)
        stages.close()


class _Pipeline:
    """Plays scenes, each in an epoch of its own."""

    def __init__(self, stages: WiredStages, engine: Engine, ends: tuple[StageEndpoint, ...], vocab_size: int) -> None:
        self._prompt = [token % vocab_size for token in range(PROMPT_LENGTH)]
        self._stages = stages
        self._engine = engine
        self._ends = ends
        self._epoch = ends[0].hello.epoch

    def play(self, scene: Scene) -> Watched:
        epoch = self._begin(scene)
        num_lanes = 1 if scene.exclusive else most_lanes_of(len(self._ends), scene.num_sequences)
        num_rows = rows_per_lane(scene.num_sequences, num_lanes)
        steps: list[list[StepTiming]] = [[] for _ in self._ends]
        rounds_ms: list[float] = []
        start_ms = self._start_ms(scene)
        until_s = time.monotonic() + RUN_S
        deadline_s = time.monotonic() + SCENE_TIMEOUT_S
        while time.monotonic() < until_s or len(rounds_ms) < LEAST_ROUNDS or not all(steps):
            if time.monotonic() > deadline_s:
                raise UnreachableError(f"rehearsal: its steps cannot be told apart within {SCENE_TIMEOUT_S:.0f} s")
            mark = self._run(scene, until_s)
            recorded = [self._recorded(stage, epoch, mark, num_rows) for stage in range(len(steps))]
            for all_of_stage, more in zip(steps, recorded, strict=True):
                all_of_stage += more
            rounds_ms += _rounds_ms(recorded[-1], num_lanes)
        steps_ms = tuple(median((step.end_ns - step.start_ns) / 1e6 for step in found) for found in steps)
        return Watched(steps_ms, num_rows, median(rounds_ms), start_ms)

    def _recorded(self, stage: int, epoch: int, mark: int, num_rows: int) -> list[StepTiming]:
        """The steps after `mark`, of the largest size of a lane or one less: neither prompts nor who is left."""
        return [
            step
            for step in self._engine.timings(stage)
            if step.id.epoch == epoch and step.id.step > mark and num_rows - 1 <= step.num_rows <= num_rows
        ]

    def _begin(self, scene: Scene) -> int:
        """Stages that cost what makes the scheduler choose the scene."""
        self._epoch += 1
        self._stages.close()  # or the streams of the last scene would be reported as lost
        self._stages.ends = tuple(replace(end, costs=_costs_for(scene)) for end in self._ends)
        self._stages.rewire(self._epoch, self._engine)
        return self._epoch

    def _start_ms(self, scene: Scene) -> float:
        """The stages are idle before."""
        readers = [_Reader() for _ in range(scene.num_sequences)]
        begun_s = time.monotonic()
        for number, reader in enumerate(readers):
            self._engine.submit([self._prompt[number % len(self._prompt)]], _TWO_TOKENS, reader.take)
        self._wait(readers, lambda: all(reader.is_done for reader in readers), begun_s + TOKEN_TIMEOUT_S)
        return 1e3 * (max(reader.first_token_s for reader in readers) - begun_s)

    def _run(self, scene: Scene, until_s: float) -> int:
        """Decode until then, or until the first sequence ends. The last step that may have been of another kind."""
        readers = [_Reader() for _ in range(scene.num_sequences)]
        requests = [self._engine.submit(self._prompt, _PARAMS, reader.take) for reader in readers]
        try:
            deadline_s = time.monotonic() + TOKEN_TIMEOUT_S
            self._wait(readers, lambda: all(reader.num_tokens >= SETTLED_TOKENS for reader in readers), deadline_s)
            mark = max((step.id.step for step in self._engine.timings(0)), default=-1)
            begun = readers[0].num_tokens
            self._wait(readers, lambda: readers[0].num_tokens >= begun + LEAST_ROUNDS, deadline_s)
            while time.monotonic() < until_s and not any(reader.is_done for reader in readers):
                time.sleep(POLL_S)
        finally:
            for request in requests:
                self._engine.cancel(request)
        time.sleep(RECORDS_DELAY_S)
        return mark

    def _wait(self, readers: Sequence[_Reader], is_enough: Callable[[], bool], deadline_s: float) -> None:
        while not is_enough():
            failed = next((reader.error for reader in readers if reader.error), None)
            if failed is not None:
                raise failed
            if time.monotonic() > deadline_s:
                raise UnreachableError(f"rehearsal: no token within {TOKEN_TIMEOUT_S:.0f} s")
            time.sleep(POLL_S)


class _Reader:
    """Counts what one sequence is given; written by the engine's thread."""

    def __init__(self) -> None:
        self.num_tokens = 0
        self.first_token_s = 0.0
        self.is_done = False
        self.error: ClusterError | None = None

    def take(self, output: Output) -> None:
        if isinstance(output, ClusterError):
            self.error = output
        elif isinstance(output, TokenEvent):
            self.first_token_s = self.first_token_s or time.monotonic()
            self.num_tokens += output.token is not None
        self.is_done = self.is_done or is_last(output)


def _typical(*passes: Watched) -> Watched:
    """Means of the passes, not the least: threads that get in each other's way do so while the cluster serves, too."""
    return Watched(
        steps_ms=tuple(map(mean, zip(*(watched.steps_ms for watched in passes), strict=True))),
        num_rows=passes[0].num_rows,
        round_ms=mean(watched.round_ms for watched in passes),
        start_ms=mean(watched.start_ms for watched in passes),
    )


def _costs_for(scene: Scene) -> StageCosts:
    """What makes the scheduler choose the scene."""
    if scene.exclusive:
        return StageCosts(((1, 1000.0), (2, 1000.0)), ((1, 1.0), (2, 1.0)))
    return StageCosts(((1, 1.0), (2, 2.0)))


def _rounds_ms(steps: Sequence[StepTiming], num_lanes: int) -> list[float]:
    """From a step's end to that of the same sequences' next one, on the last stage."""
    ends_ns = sorted(step.end_ns for step in steps)
    return [(after - before) / 1e6 for before, after in zip(ends_ns, ends_ns[num_lanes:], strict=False)]

"""What a mask costs a step: steps with and without one in turn, on a model of random weights with 151,936 tokens.

python -m tests.http.grammars.mask_cost [SHAPE:KIND] [--rounds N] [--threads N]

The mask that a step needs is there when it begins: it is made while other steps are computed. How long that takes is
told apart, as is what sampling alone takes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from cluster.api.sampling import SamplingParams
from cluster.cutting.header import read_header
from cluster.grammar import from_schema
from cluster.messages.step import Microbatch, SlotSampling, SlotStart, StepId
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from cluster.stage.loading import load_stage
from cluster.stage.runner import StageRunner
from cluster.stage.spec import GgufOptions, StageSpec
from cluster.synthetic.model import SHAPES, write_model

VOCAB_SIZE = 151_936
CONTEXT_LENGTH = 512
ROWS = (1, 8)
MOST_ROWS = max(ROWS)
PROMPT = list(range(300, 316))
SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 60}, "temperature": {"type": "integer"}},
        "required": ["name", "temperature"],
        "additionalProperties": False,
    },
}


class Steps:
    """Slots 0.. write free text, and as many behind them follow a grammar. All start from the same prompt."""

    def __init__(self, runner: StageRunner) -> None:
        self._runner = runner
        self._count = 0
        self._newest: dict[int, tuple[int, int]] = {}  # by slot: token and its position
        grammar = from_schema(SCHEMA).text
        runner.compile(grammar)
        for slot in range(2 * MOST_ROWS):
            params = SamplingParams(
                seed=slot % MOST_ROWS, grammar=grammar if slot >= MOST_ROWS else "", ignore_eos=True
            )
            positions = np.arange(len(PROMPT), dtype=np.int32)
            tokens, slots = np.array(PROMPT, np.int32), np.full(len(PROMPT), slot, np.int32)
            batch = self._batch(tokens, positions, slots, positions == positions[-1])
            starts, sampling = (SlotStart(slot, slot, 0),), (SlotSampling(slot, params, len(PROMPT)),)
            self._run(replace(batch, slot_starts=starts, new_sampling=sampling))

    def step(self, slots: Sequence[int]) -> tuple[float, float]:
        """One token for each of the slots: seconds of the step, and of the masks made behind it."""
        tokens, positions = (
            np.array(values, np.int32) for values in zip(*(self._newest[slot] for slot in slots), strict=True)
        )
        return self._run(self._batch(tokens, positions, np.array(slots, np.int32), np.ones(len(slots), bool)))

    def _run(self, batch: Microbatch) -> tuple[float, float]:
        start_s = time.perf_counter()
        output = self._runner.run(batch, None)
        end_s = time.perf_counter()
        self._runner.follow()
        self._runner._sampler._wait()  # type: ignore[union-attr]
        masks_s = time.perf_counter() - end_s
        assert output.result is not None and not output.result.failures, output.result
        for sampled in output.result.sampled:
            self._newest[sampled.slot] = sampled.token, int(batch.positions[sampled.row]) + 1
        return end_s - start_s, masks_s

    def _batch(self, tokens: np.ndarray, positions: np.ndarray, slots: np.ndarray, wants: np.ndarray) -> Microbatch:
        self._count += 1
        samples = np.flatnonzero(wants).astype(np.int32)
        return Microbatch(StepId(1, 0, self._count), tokens, positions, slots, wants, samples, np.empty(0, np.int32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="1b:Q4_0")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    size, _, kind = options.model.partition(":")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        print(f"writing {options.model} with {VOCAB_SIZE:,} tokens", flush=True)
        write_model(path, replace(SHAPES[size], vocab_size=VOCAB_SIZE), kind)
        runner = load_stage(_spec(path, options.threads), lambda phase, fraction: None)
        start_s = time.perf_counter()
        steps = Steps(runner)
        print(f"vocabulary, grammar and prompts: {time.perf_counter() - start_s:.1f} s", flush=True)
        for rows in ROWS:
            _compare(rows, steps, options.rounds, _sampling_s(runner))
        runner.close()


def _compare(rows: int, steps: Steps, rounds: int, sampling: Callable[[], float]) -> None:
    free_s, masked_s, made_s, free_sampling_s, masked_sampling_s = [], [], [], [], []
    for number in range(rounds):
        for is_masked in (False, True) if number % 2 else (True, False):
            first = MOST_ROWS if is_masked else 0
            step_s, behind_s = steps.step(range(first, first + rows))
            (masked_s if is_masked else free_s).append(step_s)
            (masked_sampling_s if is_masked else free_sampling_s).append(sampling())
            if is_masked:
                made_s.append(behind_s)
    free, more = median(free_s), median(masked - free for masked, free in zip(masked_s, free_s, strict=True))
    print(
        f"{rows} rows: step {1e3 * free:.2f} ms, with masks {1e3 * more:+.2f} ms ({100 * more / free:+.2f} %); "
        f"sampling {1e3 * median(free_sampling_s):.2f} ms, with masks {1e3 * median(masked_sampling_s):.2f} ms; "
        f"masks made meanwhile in {1e3 * median(made_s):.2f} ms, at most {1e3 * max(made_s):.2f} ms",
        flush=True,
    )


def _sampling_s(runner: StageRunner) -> Callable[[], float]:
    """What sampling took in the last step: measured around the sampler."""
    sampler, took = runner._sampler, [0.0]
    assert sampler is not None
    sample = type(sampler).sample

    def timed(*args: object) -> object:
        start_s = time.perf_counter()
        found = sample(sampler, *args)  # type: ignore[arg-type]
        took[0] = time.perf_counter() - start_s
        return found

    sampler.sample = timed  # type: ignore[method-assign,assignment]
    return lambda: took[0]


def _spec(path: Path, num_threads: int) -> StageSpec:
    source = resolve(str(path))
    return StageSpec(
        stage=0,
        num_stages=1,
        node="localhost",
        source=source,
        model_hash=open_model(source).hash,
        first=0,
        end=read_header(path).num_layers,
        device="CPU",
        context_length=CONTEXT_LENGTH,
        num_slots=2 * MOST_ROWS,
        ubatch_size=64,
        num_threads=num_threads,
        num_threads_exclusive=num_threads,
        first_core=None,
        options=GgufOptions("f16", "f16", "auto"),
    )


if __name__ == "__main__":
    main()

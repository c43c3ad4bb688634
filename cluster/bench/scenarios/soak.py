"""Soak: many short requests; memory and step time must not grow with them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from cluster.api.errors import ClusterError
from cluster.bench.client_pool import client_pool
from cluster.bench.measure import Subject, recorded_steps
from cluster.bench.options import SoakSettings
from cluster.bench.request import timed_request
from cluster.bench.spread import Spread, slope, spread
from cluster.bench.steps import newest_step, steps_after
from cluster.bench.workload import random_prompt
from cluster.messages.step import StepTiming
from cluster.node.ports import listening_pid
from cluster.node.processes import rss_bytes

SAMPLE_SHARE = 0.02  # share of the requests between two looks at the memory
NUM_ASKED = 20  # before a stage that does not tell its memory ends the soak
PER_REQUESTS = 500
MB = 1e6


@dataclass(frozen=True, slots=True)
class MemorySample:
    """Resident memory after so many requests."""

    num_requests: int
    stage_bytes: tuple[int, ...]
    coordinator_bytes: int


@dataclass(frozen=True, slots=True)
class SoakFigures:
    """Slopes leave the first tenth out: what is read or allocated for the first time is no growth."""

    num_requests: int
    concurrency: int
    duration_s: float
    samples: tuple[MemorySample, ...]
    stage_mb_per_500: tuple[float, ...]  # MB (10^6 bytes) per 500 requests, by least squares
    coordinator_mb_per_500: float
    first_step_ms: tuple[Spread | None, ...]  # per stage, during the first tenth of the requests
    last_step_ms: tuple[Spread | None, ...]  # and during the last


def soak_figures(
    settings: SoakSettings,
    duration_s: float,
    samples: Sequence[MemorySample],
    first: Sequence[StepTiming],
    last: Sequence[StepTiming],
    num_stages: int,
) -> SoakFigures:
    """Figures of the samples and of the steps of the first and the last tenth. Pure."""
    counted = [sample for sample in samples if sample.num_requests * 10 >= settings.num_requests]
    requests = [sample.num_requests / PER_REQUESTS for sample in counted]
    stages = range(num_stages)
    return SoakFigures(
        num_requests=settings.num_requests,
        concurrency=settings.concurrency,
        duration_s=duration_s,
        samples=tuple(samples),
        stage_mb_per_500=tuple(
            slope(requests, [sample.stage_bytes[stage] / MB for sample in counted]) for stage in stages
        ),
        coordinator_mb_per_500=slope(requests, [sample.coordinator_bytes / MB for sample in counted]),
        first_step_ms=tuple(_step_ms(first, stage) for stage in stages),
        last_step_ms=tuple(_step_ms(last, stage) for stage in stages),
    )


def run_soak(subject: Subject, settings: SoakSettings) -> SoakFigures:
    """All requests in three phases: the first tenth, what lies between, the last tenth."""
    client, num_requests = subject.client, settings.num_requests
    coordinator = listening_pid(subject.instance, client.address)
    start_s = time.perf_counter()
    samples: list[MemorySample] = []
    tenths: list[list[StepTiming]] = []
    for first, end in pairwise((0, num_requests // 10, num_requests - num_requests // 10, num_requests)):
        mark = newest_step(recorded_steps(client))
        samples += _phase(subject, settings, range(first, end), coordinator)
        tenths.append(steps_after(recorded_steps(client), mark))
    duration_s = time.perf_counter() - start_s
    return soak_figures(settings, duration_s, samples, tenths[0], tenths[-1], subject.num_stages)


def _phase(subject: Subject, settings: SoakSettings, numbers: range, coordinator: int) -> list[MemorySample]:
    """The requests of those numbers, `concurrency` of them open; memory is read about every SAMPLE_SHARE of the run."""
    size = max(1, round(settings.num_requests * SAMPLE_SHARE))
    num_before = subject.client.status().num_requests - numbers.start
    samples = []
    with client_pool(settings.concurrency) as threads:
        answers = [threads.submit(_short_request, subject, settings, number) for number in numbers]
        for number, answer in enumerate(answers, 1):
            answer.result()
            if number % size == 0:
                samples.append(memory_sample(subject, num_before, coordinator))
    return samples


def memory_sample(subject: Subject, num_before: int, coordinator: int) -> MemorySample:
    """Now, with the number of requests that the cluster says have ended since `num_before`.

    ClusterError if a stage does not tell what it uses, asked several times.
    """
    for _ in range(NUM_ASKED):
        status = subject.client.status()
        stage_bytes = tuple(stage.rss_bytes for stage in status.stages)
        if all(stage_bytes):
            return MemorySample(status.num_requests - num_before, stage_bytes, rss_bytes(coordinator))
    silent = next(stage for stage in status.stages if not stage.rss_bytes)
    raise ClusterError(f"soak: stage {silent.stage} does not tell its memory ({silent.state}); see cluster status")


def _short_request(subject: Subject, settings: SoakSettings, number: int) -> None:
    prompt = random_prompt(subject.vocab_size, settings.input_length, f"soak {number}")
    timed_request(subject.client, prompt, settings.output_length)


def _step_ms(timings: Sequence[StepTiming], stage: int) -> Spread | None:
    return spread([(timing.end_ns - timing.start_ns) / 1e6 for timing in timings if timing.stage == stage])

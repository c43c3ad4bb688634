"""Measure: one run of a workload on the cluster, through the Python client."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cluster.bench.request import GREEDY
from cluster.bench.steps import newest_step, steps_after
from cluster.bench.workload import Workload, workload_prompts
from cluster.client import Client
from cluster.errors import ClusterError
from cluster.messages import StepTiming

RECORDS_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: how long it took on the client's clock, and what the stages recorded of it."""

    seconds: float
    steps: tuple[StepTiming, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """The measured cluster."""

    client: Client
    vocab_size: int
    num_stages: int
    instance: str  # names its processes, see cluster.processes

    def run(self, workload: Workload, run: int) -> Sample:
        """All streams at once, from the first request sent to the last token here.

        Prompts differ from run to run, so that nothing can be kept from the one before.
        """
        prompts = workload_prompts(workload, self.vocab_size, run)
        mark = newest_step(self.client.intervals())
        start_s = time.perf_counter()
        completions = self.client.generate(prompts, GREEDY, max_tokens=workload.max_tokens, progress=False)
        seconds = time.perf_counter() - start_s
        for completion in completions:
            if len(completion.token_ids) != workload.max_tokens:
                raise ClusterError(
                    f"bench: {workload.name}: a stream ended with {len(completion.token_ids)} tokens "
                    f"({completion.finish_reason.value}) instead of {workload.max_tokens}"
                )
        return Sample(seconds, tuple(self._records(mark)))

    def _records(self, mark: tuple[int, int]) -> list[StepTiming]:
        """The stages' records of the run; the last ones may come a little after its last token."""
        deadline_s = time.monotonic() + RECORDS_TIMEOUT_S
        while True:
            steps = steps_after(self.client.intervals(), mark)
            by_stage = [{step.id for step in steps if step.stage == stage} for stage in range(self.num_stages)]
            if all(ids == by_stage[0] for ids in by_stage) or time.monotonic() > deadline_s:
                return steps
            time.sleep(0.02)

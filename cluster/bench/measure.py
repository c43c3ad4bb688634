"""Measure: one run of a workload on the cluster, through the Python client."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cluster.api.errors import ClusterError
from cluster.bench.http_target import HttpTarget
from cluster.bench.request import GREEDY
from cluster.bench.steps import newest_step, steps_after
from cluster.bench.workload import Workload, workload_prompts
from cluster.client.sync import Client
from cluster.messages.step import StepTiming

# Stages tell what steps took once they were quiet for a moment.
RECORDS_DELAY_S = 0.3


def recorded_steps(client: Client) -> list[StepTiming]:
    """All steps that the stages recorded, also those that have just ended."""
    time.sleep(RECORDS_DELAY_S)
    return client.intervals()


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
    instance: str  # names its processes, see cluster.node.processes
    http: HttpTarget | None = None  # its HTTP server, where there is one

    @property
    def http_target(self) -> HttpTarget:
        assert self.http is not None, "it was started with one"
        return self.http

    def run(self, workload: Workload, run: int) -> Sample:
        """All streams at once, from the first request sent to the last token here.

        Prompts differ from run to run, so that nothing can be kept from the one before.
        """
        prompts = workload_prompts(workload, self.vocab_size, run)
        mark = newest_step(recorded_steps(self.client))
        start_s = time.perf_counter()
        completions = self.client.generate(prompts, GREEDY, max_tokens=workload.max_tokens, progress=False)
        seconds = time.perf_counter() - start_s
        for completion in completions:
            if len(completion.token_ids) != workload.max_tokens:
                raise ClusterError(
                    f"bench: {workload.name}: a stream ended with {len(completion.token_ids)} tokens "
                    f"({completion.finish_reason.value}) instead of {workload.max_tokens}"
                )
        return Sample(seconds, tuple(steps_after(recorded_steps(self.client), mark)))

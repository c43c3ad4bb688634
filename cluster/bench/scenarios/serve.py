"""Latency under load as clients see it, with the names and definitions of `vllm bench serve`."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.bench.client_pool import client_pool
from cluster.bench.request import RequestTimes, timed_request
from cluster.bench.settings import ServeSettings
from cluster.bench.spread import Spread, spread
from cluster.bench.workload import random_prompt
from cluster.client.sync import Client

ARRIVAL_SEED = 0
MAX_OPEN = 4096  # more the server refuses


@dataclass(frozen=True, slots=True)
class ServeFigures:
    """What `vllm bench serve` prints. TPOT leaves the first token of a request out; ITL are all gaps."""

    num_requests: int
    duration_s: float
    num_input_tokens: int
    num_output_tokens: int
    requests_per_s: float
    output_tokens_per_s: float
    total_tokens_per_s: float
    ttft_ms: Spread | None
    tpot_ms: Spread | None
    itl_ms: Spread | None


def serve(client: Client, vocab_size: int, settings: ServeSettings, seed: str = "serve") -> list[RequestTimes]:
    """Send all requests and wait for them: so many at a time, or as they arrive (Poisson, seeded)."""
    prompts = [
        random_prompt(vocab_size, settings.input_length, f"{seed} {number}") for number in range(settings.num_prompts)
    ]
    arrivals_s = arrival_times(settings)
    with client_pool(settings.concurrency or min(settings.num_prompts, MAX_OPEN)) as threads:
        start_s = time.perf_counter()
        answers = []
        for prompt, arrival_s in zip(prompts, arrivals_s, strict=True):
            time.sleep(max(0.0, start_s + arrival_s - time.perf_counter()))
            answers.append(threads.submit(timed_request, client, prompt, settings.output_length))
        return [answer.result() for answer in answers]


def arrival_times(settings: ServeSettings) -> list[float]:
    """Seconds after the start at which each request may be sent; all 0 where the concurrency is given."""
    if settings.request_rate is None:
        return [0.0] * settings.num_prompts
    choose = random.Random(ARRIVAL_SEED)
    times, now_s = [], 0.0
    for _ in range(settings.num_prompts):
        times.append(now_s)
        now_s += choose.expovariate(settings.request_rate)
    return times


def serve_figures(requests: Sequence[RequestTimes]) -> ServeFigures:
    """Figures of finished requests. Pure."""
    duration_s = max(request.token_s[-1] for request in requests) - min(request.sent_s for request in requests)
    num_input = sum(request.num_prompt_tokens for request in requests)
    num_output = sum(len(request.token_s) for request in requests)
    return ServeFigures(
        num_requests=len(requests),
        duration_s=duration_s,
        num_input_tokens=num_input,
        num_output_tokens=num_output,
        requests_per_s=len(requests) / duration_s,
        output_tokens_per_s=num_output / duration_s,
        total_tokens_per_s=(num_input + num_output) / duration_s,
        ttft_ms=spread([1e3 * (request.token_s[0] - request.sent_s) for request in requests]),
        tpot_ms=spread([1e3 * _mean_gap_s(request) for request in requests if len(request.token_s) > 1]),
        itl_ms=spread(
            [
                1e3 * (after_s - before_s)
                for request in requests
                for before_s, after_s in zip(request.token_s, request.token_s[1:], strict=False)
            ]
        ),
    )


def _mean_gap_s(request: RequestTimes) -> float:
    return (request.token_s[-1] - request.token_s[0]) / (len(request.token_s) - 1)

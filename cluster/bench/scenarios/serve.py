"""Load as clients make it, through the Python client."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from cluster.bench.arrival import Arrival
from cluster.bench.client_pool import client_pool
from cluster.bench.request import RequestTimes, timed_request
from cluster.bench.serving import ServeFigures, serving_figures
from cluster.bench.settings import ServeSettings
from cluster.bench.workload import random_prompt
from cluster.client.sync import Client

ARRIVAL_SEED = 0
MAX_OPEN = 4096  # more the server refuses


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
    return serving_figures(
        [
            [
                Arrival(one.sent_s, one.token_s, one.token_s[-1], one.num_prompt_tokens, len(one.token_s))
                for one in requests
            ]
        ]
    )

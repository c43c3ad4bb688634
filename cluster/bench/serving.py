"""Latency and throughput of requests, with the names and definitions of `vllm bench serve`. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from cluster.bench.arrival import Arrival
from cluster.bench.spread import Spread, spread


@dataclass(frozen=True, slots=True)
class ServeFigures:
    """What `vllm bench serve` prints. TPOT leaves the first token of a request out; ITL are all gaps between chunks."""

    num_requests: int
    duration_s: float
    num_input_tokens: int
    num_output_tokens: int
    requests_per_s: float
    output_tokens_per_s: float
    total_tokens_per_s: float
    peak_output_tokens_per_s: int
    peak_requests: int  # open at a time
    ttft_ms: Spread | None
    tpot_ms: Spread | None
    itl_ms: Spread | None


def serving_figures(runs: Sequence[Sequence[Arrival]]) -> ServeFigures:
    """Of finished requests, in runs that came one after the other: their durations are added up, peaks are those of the
    best run, and latencies are of all requests together."""
    answers = [answer for run in runs for answer in run]
    duration_s = sum(max(answer.end_s for answer in run) - min(answer.sent_s for answer in run) for run in runs)
    num_input = sum(answer.num_prompt_tokens for answer in answers)
    num_output = sum(answer.num_output_tokens for answer in answers)
    return ServeFigures(
        num_requests=len(answers),
        duration_s=duration_s,
        num_input_tokens=num_input,
        num_output_tokens=num_output,
        requests_per_s=len(answers) / duration_s,
        output_tokens_per_s=num_output / duration_s,
        total_tokens_per_s=(num_input + num_output) / duration_s,
        peak_output_tokens_per_s=max(map(most_chunks, runs)),
        peak_requests=max(map(most_open, runs)),
        ttft_ms=spread([1e3 * answer.first_s for answer in answers]),
        tpot_ms=spread([1e3 * _mean_gap_s(answer) for answer in answers if answer.num_output_tokens > 1]),
        itl_ms=spread([1e3 * (after - before) for answer in answers for before, after in pairwise(answer.chunk_s)]),
    )


def most_chunks(run: Sequence[Arrival]) -> int:
    """Chunks of all requests in that second which has most of them; seconds begin with the first request."""
    start_s = min(answer.sent_s for answer in run)
    return max(Counter(int(chunk_s - start_s) for answer in run for chunk_s in answer.chunk_s).values())


def most_open(run: Sequence[Arrival]) -> int:
    """Requests that were open at the same time: from sent to the last chunk, which is no part of it."""
    changes = [change for answer in run for change in ((answer.sent_s, 1), (answer.chunk_s[-1], -1))]
    return max(accumulate(change for _, change in sorted(changes)))


def _mean_gap_s(answer: Arrival) -> float:
    return (answer.chunk_s[-1] - answer.chunk_s[0]) / (answer.num_output_tokens - 1)

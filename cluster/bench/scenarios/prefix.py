"""Prefix: how much sooner the first token of a prompt comes whose beginning the cluster has computed before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.bench.client_pool import client_pool
from cluster.bench.options import PrefixSettings
from cluster.bench.request import RequestTimes, timed_request
from cluster.bench.spread import Spread, ratios, spread
from cluster.bench.workload import random_prompt
from cluster.client.sync import Client

NUM_FLUSH_TOKENS = 32  # so that the requests which take all slots are there at the same time


@dataclass(frozen=True, slots=True)
class PrefixRun:
    """The same prompt twice: after another one with its prefix, and after the slots held something else."""

    warm: RequestTimes
    cold: RequestTimes


@dataclass(frozen=True, slots=True)
class PrefixFigures:
    """All repetitions, each with a prefix of its own."""

    prefix_length: int
    prompt_length: int
    cold_ms: Spread | None  # first token
    warm_ms: Spread | None
    ratio: Spread | None  # cold to warm
    cold_cached_tokens: int  # most of any cold run; more than 0 means that they were not cold
    warm_cached_tokens: int  # least of any warm run
    num_equal_texts: int
    num_runs: int


def prefix_figures(settings: PrefixSettings, runs: Sequence[PrefixRun]) -> PrefixFigures:
    """Pure."""
    cold_ms = [run.cold.first_token_ms for run in runs]
    warm_ms = [run.warm.first_token_ms for run in runs]
    return PrefixFigures(
        prefix_length=settings.prefix_length,
        prompt_length=settings.prefix_length + settings.suffix_length,
        cold_ms=spread(cold_ms),
        warm_ms=spread(warm_ms),
        ratio=ratios(cold_ms, warm_ms),
        cold_cached_tokens=max(run.cold.num_cached_tokens for run in runs),
        warm_cached_tokens=min(run.warm.num_cached_tokens for run in runs),
        num_equal_texts=sum(run.cold.token_ids == run.warm.token_ids for run in runs),
        num_runs=len(runs),
    )


def run_prefix(client: Client, vocab_size: int, num_slots: int, settings: PrefixSettings, repetition: int) -> PrefixRun:
    """One repetition: another prompt with the prefix; the prompt, warm; other things in all slots; the prompt, cold."""
    seed = f"prefix {repetition}"
    shared = random_prompt(vocab_size, settings.prefix_length, seed)
    other, own = (random_prompt(vocab_size, settings.suffix_length, f"{seed} {name}") for name in ("other", "own"))
    timed_request(client, [*shared, *other], settings.output_length)
    warm = timed_request(client, [*shared, *own], settings.output_length)
    _flush(client, vocab_size, num_slots, seed)
    cold = timed_request(client, [*shared, *own], settings.output_length)
    return PrefixRun(warm, cold)


def _flush(client: Client, vocab_size: int, num_slots: int, seed: str) -> None:
    """Give every slot something else to hold."""
    with client_pool(num_slots) as threads:
        prompts = [random_prompt(vocab_size, 2, f"{seed} flush {slot}") for slot in range(num_slots)]
        for answer in [threads.submit(timed_request, client, prompt, NUM_FLUSH_TOKENS) for prompt in prompts]:
            answer.result()

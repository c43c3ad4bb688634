"""HTTP: streams over the HTTP server beside the same streams through the Python client, on one cluster."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from cluster.api.errors import ClusterError
from cluster.bench.arrival import Arrival
from cluster.bench.http_target import HttpTarget
from cluster.bench.options import HttpBenchSettings
from cluster.bench.request import GREEDY
from cluster.bench.scenarios.http_client import body_of, streamed
from cluster.bench.serving import ServeFigures, serving_figures
from cluster.bench.spread import Spread, spread
from cluster.bench.workload import random_prompt
from cluster.client.aio import AsyncClient
from cluster.node.processes import rss_bytes

PROMPT_LENGTH = 16
MB = 10**6
SETTLE_S = 0.5


@dataclass(frozen=True, slots=True)
class HttpRun:
    """One repetition: both ways, one right after the other, with the same prompts."""

    http_tokens_per_s: float
    client_tokens_per_s: float
    http_first_ms: float  # of a lone stream
    client_first_ms: float
    answers: tuple[Arrival, ...]  # over HTTP, but for the lone ones


@dataclass(frozen=True, slots=True)
class HttpFigures:
    """All repetitions."""

    num_streams: int
    num_tokens: int
    num_idle: int
    http_tokens_per_s: Spread | None
    client_tokens_per_s: Spread | None
    ratio: Spread | None  # HTTP to client, of each repetition
    http_first_ms: Spread | None
    client_first_ms: Spread | None
    first_difference_ms: Spread | None  # HTTP minus client, of each repetition
    idle_mb: float  # more memory of the server with all idle connections open
    serving: ServeFigures  # over HTTP, of all repetitions


def http_figures(settings: HttpBenchSettings, runs: Sequence[HttpRun], idle_mb: float) -> HttpFigures:
    """Pure."""
    return HttpFigures(
        settings.num_streams,
        settings.num_tokens,
        settings.num_idle,
        spread([run.http_tokens_per_s for run in runs]),
        spread([run.client_tokens_per_s for run in runs]),
        spread([run.http_tokens_per_s / run.client_tokens_per_s for run in runs]),
        spread([run.http_first_ms for run in runs]),
        spread([run.client_first_ms for run in runs]),
        spread([run.http_first_ms - run.client_first_ms for run in runs]),
        idle_mb,
        serving_figures([run.answers for run in runs]),
    )


def run_http(target: HttpTarget, settings: HttpBenchSettings, repetition: int) -> HttpRun:
    """One repetition; which of the two comes first is swapped from one to the next."""
    return asyncio.run(_run(target, settings, repetition))


def idle_mb(target: HttpTarget, num_idle: int) -> float:
    """How much the server grows by connections that have each asked something once, and stay."""
    where = urlsplit(target.base)
    before = rss_bytes(target.pid)
    with ExitStack() as stack:
        for _ in range(num_idle):
            connection = socket.create_connection((where.hostname or "", where.port or 0), timeout=10)
            stack.callback(connection.close)
            connection.sendall(b"GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
            if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
                raise ClusterError("http: a connection was not answered")
        time.sleep(SETTLE_S)
        return (rss_bytes(target.pid) - before) / MB


async def _run(target: HttpTarget, settings: HttpBenchSettings, repetition: int) -> HttpRun:
    async with AsyncClient(target.address, target.secret) as client:
        where = urlsplit(target.base)
        ways: dict[str, _Way] = {"http": _Http(where.hostname or "", where.port or 0), "client": _Client(client)}
        names = ("http", "client") if repetition % 2 == 0 else ("client", "http")
        first_ms: dict[str, list[float]] = {name: [] for name in names}
        for number in range(settings.num_lone):
            for name in names:
                prompt = random_prompt(target.vocab_size, PROMPT_LENGTH, f"http {repetition} {number} {name}")
                first_ms[name].append(1e3 * (await ways[name].stream(prompt, 2)).first_s)
        rates: dict[str, float] = {}
        answers: dict[str, list[Arrival]] = {}
        for name in names:
            prompts = [
                random_prompt(target.vocab_size, PROMPT_LENGTH, f"http {repetition} {stream} {name}")
                for stream in range(settings.num_streams)
            ]
            start_s = time.perf_counter()
            streams = (ways[name].stream(prompt, settings.num_tokens) for prompt in prompts)
            answers[name] = await asyncio.gather(*streams)
            rates[name] = settings.num_streams * settings.num_tokens / (time.perf_counter() - start_s)
    middles = {name: sorted(times)[len(times) // 2] for name, times in first_ms.items()}
    return HttpRun(rates["http"], rates["client"], middles["http"], middles["client"], tuple(answers["http"]))


class _Way(Protocol):
    async def stream(self, prompt: list[int], num_tokens: int) -> Arrival:
        """Once all tokens are there."""


@dataclass(frozen=True, slots=True)
class _Http:
    host: str
    port: int

    async def stream(self, prompt: list[int], num_tokens: int) -> Arrival:
        return await streamed(self.host, self.port, body_of(prompt, num_tokens))


@dataclass(frozen=True, slots=True)
class _Client:
    client: AsyncClient

    async def stream(self, prompt: list[int], num_tokens: int) -> Arrival:
        sent_s, token_s = time.perf_counter(), []
        async for event in self.client.stream(prompt, GREEDY, max_tokens=num_tokens):
            if event.token is not None:
                token_s.append(time.perf_counter())
        if len(token_s) != num_tokens:
            raise ClusterError(f"http: a stream ended with {len(token_s)} tokens instead of {num_tokens}")
        return Arrival(sent_s, tuple(token_s), time.perf_counter(), len(prompt), num_tokens)

"""Gaps: what a long prompt that arrives does to the streams that run, as their clients see it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NoReturn

from cluster.api.errors import ClusterError
from cluster.bench.options import GapsSettings
from cluster.bench.request import GREEDY, timed_request
from cluster.bench.spread import Spread, percentile, spread
from cluster.bench.workload import random_prompt
from cluster.client.stream import TokenStream
from cluster.client.sync import Client

NUM_WARM_TOKENS = 8  # each stream makes these before gaps count
NUM_TOKENS_BEFORE = 32  # each stream makes these, and their gaps are those "before"
STREAM_PROMPT_LENGTH = 8
STREAM_TIMEOUT_S = 600.0
POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class GapsRun:
    """One repetition. Times in seconds on the client's clock."""

    token_s: tuple[tuple[float, ...], ...]  # per stream, when its tokens came
    begin_s: float  # all streams were warm
    sent_s: float  # the prompt was sent
    first_token_s: float  # its first token was here
    alone_ms: float  # first token of as long a prompt with nothing else running

    @property
    def before_ms(self) -> list[float]:
        """Gaps that lie between `begin_s` and `sent_s`."""
        return [1e3 * (b - a) for a, b in self._gaps() if a >= self.begin_s and b <= self.sent_s]

    @property
    def during_ms(self) -> list[float]:
        """Gaps, whole, that overlap the time from the prompt sent to its first token."""
        return [1e3 * (b - a) for a, b in self._gaps() if b > self.sent_s and a < self.first_token_s]

    def _gaps(self) -> Iterator[tuple[float, float]]:
        for arrivals_s in self.token_s:
            yield from pairwise(arrivals_s)


@dataclass(frozen=True, slots=True)
class GapsFigures:
    """All repetitions. Gaps are pooled; the ratio and the first tokens have one value for each repetition."""

    num_streams: int
    prompt_length: int
    before_ms: Spread | None
    during_ms: Spread | None
    ratio: Spread | None  # p99 during the prompt to the median before
    first_token_ms: Spread | None  # the prompt arrives beside the streams
    alone_ms: Spread | None  # the prompt has the cluster to itself


def gaps_figures(settings: GapsSettings, runs: Sequence[GapsRun]) -> GapsFigures:
    """Pure."""
    middles = [spread(run.before_ms) for run in runs]
    ratios = [
        percentile(run.during_ms, 0.99) / before.median
        for run, before in zip(runs, middles, strict=True)
        if run.during_ms and before is not None and before.median > 0
    ]
    return GapsFigures(
        settings.num_streams,
        settings.prompt_length,
        spread([gap for run in runs for gap in run.before_ms]),
        spread([gap for run in runs for gap in run.during_ms]),
        spread(ratios),
        spread([1e3 * (run.first_token_s - run.sent_s) for run in runs]),
        spread([run.alone_ms for run in runs]),
    )


def run_gaps(client: Client, vocab_size: int, context_length: int, settings: GapsSettings, repetition: int) -> GapsRun:
    """One repetition, with prompts of its own. The streams could fill their context of `context_length` tokens."""
    seed = f"gaps {repetition}"
    alone = timed_request(client, random_prompt(vocab_size, settings.prompt_length, f"{seed} alone"), 1)
    starts = [
        random_prompt(vocab_size, STREAM_PROMPT_LENGTH, f"{seed} stream {number}")
        for number in range(settings.num_streams)
    ]
    prompt = random_prompt(vocab_size, settings.prompt_length, seed)
    with _running(client, starts, context_length - STREAM_PROMPT_LENGTH) as streams:
        _await_tokens(streams, [NUM_WARM_TOKENS] * len(streams))
        begin_s = time.perf_counter()
        _await_tokens(streams, [len(stream.token_s) + NUM_TOKENS_BEFORE for stream in streams])
        asked = timed_request(client, prompt, 1)
        _await_tokens(streams, [len(stream.token_s) + 1 for stream in streams])  # the gaps under way then
        arrivals = tuple(tuple(stream.token_s) for stream in streams)
    return GapsRun(arrivals, begin_s, asked.sent_s, asked.token_s[0], alone.first_token_ms)


@dataclass(slots=True)
class _Reader:
    """A stream and the thread that reads it."""

    stream: TokenStream
    token_s: list[float] = field(default_factory=list)
    error: ClusterError | None = None
    has_ended: bool = False

    def read(self) -> None:
        try:
            for event in self.stream:
                if event.token is not None:
                    self.token_s.append(time.perf_counter())
        except ClusterError as error:
            self.error = error
        self.has_ended = True


@contextmanager
def _running(client: Client, prompts: Sequence[list[int]], max_tokens: int) -> Iterator[list[_Reader]]:
    """Streams that are read as they come, and cancelled at the end."""
    readers = [_Reader(client.stream(prompt, GREEDY, max_tokens=max_tokens)) for prompt in prompts]
    threads = [threading.Thread(target=reader.read, name="bench-stream", daemon=True) for reader in readers]
    try:
        for thread in threads:
            thread.start()
        yield readers
    finally:
        for reader in readers:
            reader.stream.close()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def _await_tokens(readers: Sequence[_Reader], counts: Sequence[int]) -> None:
    """Until each has as many tokens. ClusterError if one ends before that."""
    deadline_s = time.monotonic() + STREAM_TIMEOUT_S
    for reader, count in zip(readers, counts, strict=True):
        while len(reader.token_s) < count:
            if reader.has_ended or time.monotonic() > deadline_s:
                _refuse(reader)
            time.sleep(POLL_S)


def _refuse(reader: _Reader) -> NoReturn:
    if reader.error is not None:
        raise reader.error
    state = "ended" if reader.has_ended else "stood still"
    raise ClusterError(f"gaps: a stream {state} after {len(reader.token_s)} tokens; give a larger -c")

"""Chunking: a long prompt with chunks in flight on every stage, against one chunk at a time, on two clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from cluster.api.status import ClusterStatus
from cluster.bench.measure import Subject
from cluster.bench.request import timed_request
from cluster.bench.settings import DEFAULT_UBATCH_SIZE, BenchSettings
from cluster.bench.spread import Spread, ratios, spread
from cluster.bench.subject import chunking_arguments, measured_cluster
from cluster.bench.workload import random_prompt
from cluster.cutting.sizes import trained_context
from cluster.node.machine import available_bytes
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from cluster.terminal.activity import Activity

SPARE_MEMORY = 1.25  # what a second cluster may take more than the first says it has
WARM_UP_TOKENS = 32
CONTEXT_STEP = 256
_NAMES = {True: "several chunks in flight:", False: "one chunk at a time:"}


@dataclass(frozen=True, slots=True)
class ChunkingFigures:
    """All repetitions; the n-th of both had the same prompt, one right after the other."""

    prompt_length: int
    num_chunks: int
    interleaved: bool  # both clusters were up at the same time
    pipelined_ms: Spread | None  # first token, several chunks in flight
    single_ms: Spread | None  # first token, one chunk in flight
    ratio: Spread | None  # single to pipelined: how much sooner


def run_chunking(settings: BenchSettings, note: Callable[[str], None]) -> tuple[ChunkingFigures, ClusterStatus]:
    """All repetitions, the order of the two swapped from one to the next; and the status of one of the clusters.

    Raises what `cluster up` does.
    """
    assert settings.chunking is not None
    trained = trained_context(open_model(resolve(settings.model)).gguf)
    context_length, length = chunking_lengths(settings.chunking.prompt_length, trained)
    times_ms: dict[bool, list[float]] = {True: [], False: []}
    with (
        _pair_of_clusters(settings, context_length) as pair,
        Activity("chunking", 2 * settings.repetitions) as activity,
    ):
        for repetition in range(settings.repetitions):
            for pipelined in order_of(repetition):
                activity.begin(_NAMES[pipelined])
                subject = pair.get(pipelined)
                prompt = random_prompt(subject.vocab_size, length, f"chunking {repetition}")
                times_ms[pipelined].append(timed_request(subject.client, prompt, 1).first_token_ms)
            note("  " + "; ".join(f"{_NAMES[arm]} {times[-1]:.0f} ms" for arm, times in times_ms.items()))
        interleaved = pair.has_both
        status = pair.get(pipelined).client.status()
    num_chunks = -(-length // (settings.ubatch_size or DEFAULT_UBATCH_SIZE))
    return chunking_figures(length, num_chunks, interleaved, times_ms[True], times_ms[False]), status


def chunking_lengths(asked: int, trained: int) -> tuple[int, int]:
    """Tokens of a slot and of the prompt: as asked, or what the model's context of `trained` tokens holds. Pure."""
    context_length = min(-(-(asked + 1) // CONTEXT_STEP) * CONTEXT_STEP, trained)
    return context_length, min(asked, context_length - 1)


def order_of(repetition: int) -> tuple[bool, bool]:
    """Whether pipelined, of the first and of the second. The second cluster of one is the first of the next."""
    return (True, False) if repetition % 2 == 0 else (False, True)


def chunking_figures(
    length: int, num_chunks: int, interleaved: bool, pipelined_ms: Sequence[float], single_ms: Sequence[float]
) -> ChunkingFigures:
    """Pure."""
    return ChunkingFigures(
        length, num_chunks, interleaved, spread(pipelined_ms), spread(single_ms), ratios(single_ms, pipelined_ms)
    )


def fits_twice(status: ClusterStatus, free_bytes: int) -> bool:
    """Whether a second cluster like this one fits beside it. On other devices than the CPU that is not known. Pure."""
    stages = status.stages
    needed = sum(stage.weight_bytes + stage.kv_bytes + stage.compute_bytes for stage in stages)
    return all(stage.device == "CPU" for stage in stages) and SPARE_MEMORY * needed < free_bytes


class _Pair:
    """The two clusters, both up where memory permits."""

    def __init__(self, settings: BenchSettings, context_length: int) -> None:
        self._settings = settings
        self._context_length = context_length
        self._up: dict[bool, tuple[ExitStack, Subject]] = {}

    @property
    def has_both(self) -> bool:
        return len(self._up) == 2

    def get(self, pipelined: bool) -> Subject:
        """That cluster, warm; the other one is taken down before where there is no room for both."""
        if pipelined not in self._up:
            for _, subject in self._up.values():
                if not fits_twice(subject.client.status(), available_bytes()):
                    self.close()
                    break
            self._up[pipelined] = self._start(pipelined)
        return self._up[pipelined][1]

    def close(self) -> None:
        while self._up:
            self._up.popitem()[1][0].close()

    def _start(self, pipelined: bool) -> tuple[ExitStack, Subject]:
        arguments = chunking_arguments(self._settings, self._context_length, pipelined)
        with ExitStack() as stack:
            subject = stack.enter_context(measured_cluster(arguments))
            length = min(WARM_UP_TOKENS, self._context_length - 1)
            timed_request(subject.client, random_prompt(subject.vocab_size, length, "chunking warm-up"), 1)
            return stack.pop_all(), subject


@contextmanager
def _pair_of_clusters(settings: BenchSettings, context_length: int) -> Iterator[_Pair]:
    pair = _Pair(settings, context_length)
    try:
        yield pair
    finally:
        pair.close()

"""What `cluster bench` was asked to do: one frozen record, checked once."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.api.errors import UsageError
from cluster.bench.counts import check_count
from cluster.bench.options import (
    MAX_STREAMS,
    MAX_TOKENS,
    ChunkingSettings,
    GapsSettings,
    HttpBenchSettings,
    PrefixSettings,
    SoakSettings,
)

DEFAULT_INPUT_LENGTH = 128
DEFAULT_OUTPUT_LENGTH = 128
DEFAULT_UBATCH_SIZE = 512  # rows, of `cluster up` and of llama.cpp
MIN_CONTEXT = 256
ARRIVING_SLOTS = 8  # where only the rate of arrivals is given, as `cluster up` has


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Load as clients make it: `concurrency` requests open at any time, or `request_rate` arrivals per second."""

    concurrency: int | None = None
    request_rate: float | None = None
    num_prompts: int = 32
    input_length: int = DEFAULT_INPUT_LENGTH  # tokens
    output_length: int = DEFAULT_OUTPUT_LENGTH  # tokens

    def __post_init__(self) -> None:
        if (self.concurrency is None) == (self.request_rate is None):
            raise UsageError("bench: give either --concurrency or --request-rate")
        if self.request_rate is not None and not 0 < self.request_rate < 1e6:
            raise UsageError(f"request-rate: {self.request_rate} is not possible; give requests per second above 0")
        if self.concurrency is not None:
            check_count("concurrency", self.concurrency, 1, 4096)
        check_count("num-prompts", self.num_prompts, 1, 100_000)
        check_count("input-len", self.input_length, 1, MAX_TOKENS)
        check_count("output-len", self.output_length, 1, MAX_TOKENS)


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """The rows to measure, how often, and the cluster to measure them on."""

    model: str  # path of a GGUF
    prompt_lengths: tuple[int, ...] = (512,)  # tokens, one row each; 0 gives no row, as in llama-bench
    decode_lengths: tuple[int, ...] = (128,)  # tokens per stream, one row for each number of streams
    streams: tuple[int, ...] = (1,)
    repetitions: int = 5
    context_length: int | None = None  # tokens per slot; None: what the rows need
    stages: int | None = None
    devices: str | None = None  # as `cluster up --devices` takes them
    threads: int | None = None
    ubatch_size: int | None = None
    cache_type_k: str | None = None
    cache_type_v: str | None = None
    flash_attn: str | None = None
    # As `cluster up --draft`: what steps cost shows without, and llama.cpp beside them has no drafts.
    draft: str = "off"
    lends_cores: bool = True  # as `cluster up --lend-cores`
    allows_rounding: bool = False  # as `cluster up --allow-rounding`
    compares: bool = False
    serve: ServeSettings | None = None
    gaps: GapsSettings | None = None
    prefix: PrefixSettings | None = None
    chunking: ChunkingSettings | None = None
    soak: SoakSettings | None = None
    http: HttpBenchSettings | None = None

    def __post_init__(self) -> None:
        for length in (*self.prompt_lengths, *self.decode_lengths):
            check_count("-p and -n", length, 0, MAX_TOKENS)
        for count in self.streams:
            check_count("-np", count, 1, MAX_STREAMS)
        check_count("-r", self.repetitions, 1, 1000)
        scenarios = (self.serve, self.gaps, self.prefix, self.chunking, self.soak, self.http)
        if not any((*self.prompt_lengths, *self.decode_lengths)) and not any(scenarios):
            raise UsageError("bench: nothing to measure; give -p, -n, --concurrency or a scenario")
        if self.context_length is not None and self.context_length < self.num_needed_tokens:
            raise UsageError(
                f"ctx-size: {self.context_length} is too short for these rows; give at least {self.num_needed_tokens}"
            )

    @property
    def num_needed_tokens(self) -> int:
        """Prompt and answer of the longest request; the last token drawn is never computed.

        A prompt is measured by its first token, for which there has to be room.
        """
        lengths = [
            *(length + 1 for length in self.prompt_lengths if length),
            *(length for length in self.decode_lengths if length),
        ]
        if self.serve is not None:
            lengths.append(self.serve.input_length + self.serve.output_length)
        lengths += [one.num_needed_tokens for one in (self.gaps, self.prefix, self.soak, self.http) if one is not None]
        return max(lengths)

    @property
    def num_context_tokens(self) -> int:
        """Per slot: as asked, else what is needed in steps of 256."""
        return self.context_length or -(-max(self.num_needed_tokens, 1) // MIN_CONTEXT) * MIN_CONTEXT

    @property
    def num_slots(self) -> int:
        """Slots of the measured cluster and of its peers."""
        counts = [*self.streams, 2 if self.prefix else 1]
        if self.serve is not None:
            counts.append(min(self.serve.concurrency or ARRIVING_SLOTS, MAX_STREAMS))
        if self.gaps is not None:
            counts.append(self.gaps.num_streams + 1)
        if self.soak is not None:
            counts.append(self.soak.concurrency)
        if self.http is not None:
            counts.append(self.http.num_streams)
        return max(counts)

    @property
    def measures_cluster(self) -> bool:
        """Whether anything is asked of the measured cluster; chunking has clusters of its own."""
        parts = (self.serve, self.gaps, self.prefix, self.soak, self.http)
        return any((*self.prompt_lengths, *self.decode_lengths)) or any(part is not None for part in parts)

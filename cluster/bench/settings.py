"""What `cluster bench` was asked to do: one frozen record, checked once."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.errors import UsageError

DEFAULT_INPUT_LENGTH = 128
DEFAULT_OUTPUT_LENGTH = 128
MIN_CONTEXT = 256
MAX_STREAMS = 256
MAX_TOKENS = 2**20


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
            _check("concurrency", self.concurrency, 1, 4096)
        _check("num-prompts", self.num_prompts, 1, 100_000)
        _check("input-len", self.input_length, 1, MAX_TOKENS)
        _check("output-len", self.output_length, 1, MAX_TOKENS)


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
    compares: bool = False
    serve: ServeSettings | None = None

    def __post_init__(self) -> None:
        for length in (*self.prompt_lengths, *self.decode_lengths):
            _check("-p and -n", length, 0, MAX_TOKENS)
        for count in self.streams:
            _check("-np", count, 1, MAX_STREAMS)
        _check("-r", self.repetitions, 1, 1000)
        if not any((*self.prompt_lengths, *self.decode_lengths)) and self.serve is None:
            raise UsageError("bench: nothing to measure; give -p, -n or --concurrency")
        if self.context_length is not None and self.context_length < self.num_needed_tokens:
            raise UsageError(
                f"ctx-size: {self.context_length} is too short for these rows; give at least {self.num_needed_tokens}"
            )

    @property
    def num_needed_tokens(self) -> int:
        """Prompt and answer of the longest request; the last token drawn is never computed."""
        lengths = [*self.prompt_lengths, *(length for length in self.decode_lengths if length)]
        if self.serve is not None:
            lengths.append(self.serve.input_length + self.serve.output_length)
        return max(lengths)

    @property
    def num_context_tokens(self) -> int:
        """Per slot: as asked, else what is needed in steps of 256."""
        return self.context_length or -(-max(self.num_needed_tokens, 1) // MIN_CONTEXT) * MIN_CONTEXT

    @property
    def num_slots(self) -> int:
        """Slots of the measured cluster and of its peers."""
        concurrency = self.serve.concurrency if self.serve is not None and self.serve.concurrency else 1
        return max(*self.streams, min(concurrency, MAX_STREAMS))


def parse_counts(name: str, text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas, as given to `name`. UsageError for anything else."""
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{name}: {text!r} is not a list of whole numbers; give for example 1,8,16") from error
    return tuple(dict.fromkeys(counts))


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UsageError(f"{name}: {value} is out of range; give whole numbers from {low} to {high}")

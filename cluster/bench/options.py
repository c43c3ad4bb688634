"""What can be asked of `cluster bench` beside rows and serving: one record for each scenario, checked once."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.bench.counts import check_count

MAX_TOKENS = 2**20
MAX_STREAMS = 256
DEFAULT_ARRIVING_TOKENS = 2048
DEFAULT_CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class GapsSettings:
    """Streams that run while a long prompt arrives."""

    num_streams: int = 8
    prompt_length: int = DEFAULT_ARRIVING_TOKENS  # tokens

    def __post_init__(self) -> None:
        check_count("gaps", self.num_streams, 1, MAX_STREAMS - 1)
        check_count("gaps", self.prompt_length, 1, MAX_TOKENS)

    @property
    def num_needed_tokens(self) -> int:
        """Per slot: the prompt, or what a stream makes until it is over (no step of it computes less than a token)."""
        return self.prompt_length + 256


@dataclass(frozen=True, slots=True)
class PrefixSettings:
    """Prompts that begin with the same tokens."""

    prefix_length: int  # tokens
    suffix_length: int = 16
    output_length: int = 16

    def __post_init__(self) -> None:
        check_count("prefix", self.prefix_length, 1, MAX_TOKENS)

    @property
    def num_needed_tokens(self) -> int:
        return self.prefix_length + self.suffix_length + self.output_length


@dataclass(frozen=True, slots=True)
class ChunkingSettings:
    """A long prompt, alone, on two clusters: several of its chunks in flight, or one."""

    prompt_length: int = 8192  # tokens; less where the model's context holds less

    def __post_init__(self) -> None:
        check_count("chunking", self.prompt_length, 2, MAX_TOKENS)


@dataclass(frozen=True, slots=True)
class HttpBenchSettings:
    """Streams over HTTP, and as many through the Python client."""

    num_streams: int = 32
    num_tokens: int = 128  # of each
    num_lone: int = 20  # lone streams of two tokens, of which the first is timed
    num_idle: int = 1000  # connections

    def __post_init__(self) -> None:
        check_count("http", self.num_streams, 1, MAX_STREAMS)
        check_count("http", self.num_tokens, 2, MAX_TOKENS)

    @property
    def num_needed_tokens(self) -> int:
        return 16 + self.num_tokens


@dataclass(frozen=True, slots=True)
class SoakSettings:
    """Short requests, many of them."""

    num_requests: int
    concurrency: int = DEFAULT_CONCURRENCY  # requests open at any time
    input_length: int = 16  # tokens
    output_length: int = 8

    def __post_init__(self) -> None:
        check_count("soak", self.num_requests, 20, 1_000_000)
        check_count("soak", self.concurrency, 1, MAX_STREAMS)

    @property
    def num_needed_tokens(self) -> int:
        return self.input_length + self.output_length

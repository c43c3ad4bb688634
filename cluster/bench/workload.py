"""Workload: one row of the table. Every peer gets the same rows to compute."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from cluster.bench.settings import BenchSettings


@dataclass(frozen=True, slots=True)
class Workload:
    """`pp`: one prompt of `num_tokens`, up to its first token. `tg`: `num_tokens` by each stream, from one token on."""

    kind: Literal["pp", "tg"]
    num_tokens: int
    num_streams: int

    @property
    def name(self) -> str:
        """As llama-bench names it, with the number of streams."""
        streams = f" x{self.num_streams}" if self.kind == "tg" else ""
        return f"{self.kind}{self.num_tokens}{streams}"

    @property
    def prompt_length(self) -> int:
        return self.num_tokens if self.kind == "pp" else 1

    @property
    def max_tokens(self) -> int:
        """Tokens that each stream generates."""
        return 1 if self.kind == "pp" else self.num_tokens

    @property
    def num_counted_tokens(self) -> int:
        """Tokens that tokens per second speak of; as many rows go through the model."""
        return self.num_tokens * self.num_streams

    def shortened(self) -> Workload:
        """The same shape, briefly: to warm up."""
        return Workload(self.kind, min(self.num_tokens, 128 if self.kind == "pp" else 8), self.num_streams)


def workloads(settings: BenchSettings) -> list[Workload]:
    """The rows of the table in order."""
    prompts = [Workload("pp", length, 1) for length in settings.prompt_lengths if length]
    decodes = [
        Workload("tg", length, count) for length in settings.decode_lengths if length for count in settings.streams
    ]
    return prompts + decodes


def workload_prompts(workload: Workload, vocab_size: int, run: int) -> list[list[int]]:
    """The prompts of a workload's streams: other ones for each number of a run, the same for all who run it."""
    return [
        random_prompt(vocab_size, workload.prompt_length, f"run {run} stream {stream}")
        for stream in range(workload.num_streams)
    ]


def random_prompt(vocab_size: int, length: int, seed: int | str) -> list[int]:
    """Token ids from the middle of the vocabulary: special tokens are at its ends."""
    low, high = vocab_size // 4, max(vocab_size // 4 + 1, 3 * vocab_size // 4)
    choose = random.Random(seed)
    return [choose.randrange(low, high) for _ in range(length)]

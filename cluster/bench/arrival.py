"""Arrival: one streamed answer on its client's clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arrival:
    """Times in seconds of time.perf_counter."""

    sent_s: float
    chunk_s: tuple[float, ...]  # when each part of the answer came, at least one; a part may hold several tokens
    end_s: float  # nothing came after it
    num_prompt_tokens: int
    num_output_tokens: int

    @property
    def first_s(self) -> float:
        """Seconds to the first token."""
        return self.chunk_s[0] - self.sent_s

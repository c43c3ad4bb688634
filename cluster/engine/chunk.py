"""Chunk: consecutive rows of one sequence in one microbatch."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.engine.sequence import Kind, Sequence


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens [first, end) of a sequence: its consecutive rows of one microbatch.

    The last of them may be one that is still to be sampled, by the step that the microbatch follows.
    """

    sequence: Sequence
    first: int
    end: int
    samples: bool  # a token is sampled from its last row

    @property
    def num_rows(self) -> int:
        return self.end - self.first

    @property
    def num_logits_rows(self) -> int:
        """Rows whose full logits travel back."""
        return self.num_rows if self.sequence.kind is Kind.LOGITS else 0

    @property
    def tokens(self) -> list[int]:
        """The tokens of its rows that are known by now: all, or all but the last."""
        return self.sequence.log[self.first : self.end]


def cut_chunk(sequence: Sequence, max_rows: int) -> Chunk:
    """The next rows of a sequence that has some to send, `max_rows` at most."""
    end = sequence.num_sent + min(sequence.num_unsent, max_rows)
    samples = sequence.kind is Kind.GENERATE and end == sequence.num_tokens
    return Chunk(sequence, sequence.num_sent, end, samples)


def next_row(sequence: Sequence) -> Chunk:
    """The row of the token that was sampled last, or is being sampled."""
    return Chunk(sequence, sequence.num_sent, sequence.num_sent + 1, samples=True)

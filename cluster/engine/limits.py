"""Limits: the bounds that the scheduler keeps, checked once."""

from __future__ import annotations

from dataclasses import dataclass, fields

from cluster.api.errors import UsageError

MAX_LOGITS_BYTES = 8 * 2**20  # one microbatch's result has no more
MAX_SCORED_BYTES = 64 * 2**20  # of logits in the last stage
LOGIT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one cluster. Raises UsageError for a number that leaves no room to work.

    Attributes:
        num_slots: sequences that can hold KV at a time.
        context_length: most tokens of one sequence, prompt and generated ones together.
        max_batch_tokens: most rows of a microbatch.
        num_stages: stages that the rows pass.
        max_waiting: requests that may wait for a slot before new ones are refused; 0 refuses all but those
            that get a slot at once.
        max_logits_rows: most rows of a microbatch whose full logits travel back.
        max_scored_rows: most rows of a microbatch whose next tokens are scored, so that all their logits are made.
        pipeline_prompts: several chunks of prompts may be in flight at once.
        max_drafting: sequences that are decoded at a time, beside more of which no token is guessed ahead.
        max_runs: microbatches with guesses of one sequence that may be under way at a time, each as if those before it
            were right; 1: the next waits for the answer.
        takes_whole: a prompt goes into one microbatch; none is longer than that may be.
        can_truncate: a slot can go back to an earlier token; else no sequence starts from another's tokens.
    """

    num_slots: int
    context_length: int
    max_batch_tokens: int
    num_stages: int
    max_waiting: int = 64
    max_logits_rows: int = 64
    max_scored_rows: int = 256
    pipeline_prompts: bool = True
    can_truncate: bool = True
    takes_whole: bool = False
    max_drafting: int = 256
    max_runs: int = 1

    @property
    def max_in_flight(self) -> int:
        """Microbatches under way: one for each stage, and one that waits for the first."""
        return self.num_stages + 1

    def __post_init__(self) -> None:
        for field in fields(self):
            value, low = getattr(self, field.name), 0 if field.name == "max_waiting" else 1
            if not isinstance(value, bool) and value < low:
                raise UsageError(f"{field.name}: {value} leaves no room to work; give at least {low}")


def max_logits_rows(ubatch_size: int, vocab_size: int) -> int:
    """Rows of one microbatch whose logits travel back: not more than MAX_LOGITS_BYTES of them, but one."""
    return _num_rows(MAX_LOGITS_BYTES, ubatch_size, vocab_size)


def max_scored_rows(ubatch_size: int, vocab_size: int) -> int:
    """Rows of one microbatch whose logits the last stage makes to score tokens: MAX_SCORED_BYTES of them, but one."""
    return _num_rows(MAX_SCORED_BYTES, ubatch_size, vocab_size)


def _num_rows(num_bytes: int, ubatch_size: int, vocab_size: int) -> int:
    return max(1, min(ubatch_size, num_bytes // (LOGIT_BYTES * vocab_size)))

"""The microbatches that are computed on both sides. Their tokens are fixed, so that no side depends on the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cluster.engine.limits import max_logits_rows
from cluster.messages.step import Microbatch, StepId

STEPS_VERSION = 1
SEED = 4
PROMPT_ROWS = 32
SINGLE_STEPS = 16
ENCODER_SAID = 6
MIN_ENCODER_ROWS = 3  # the encoder's, the decoder's start, and what it said


@dataclass(frozen=True, slots=True)
class Step:
    """Rows of one microbatch; the logits of each are wanted, but of the first `num_encoded`, which an encoder reads."""

    tokens: tuple[int, ...]
    positions: tuple[int, ...]
    slots: tuple[int, ...]
    num_encoded: int = 0

    def microbatch(self, number: int) -> Microbatch:
        """As a stage takes it."""
        num_rows = len(self.tokens)
        tokens, positions, slots = (np.array(values, np.int32) for values in (self.tokens, self.positions, self.slots))
        return Microbatch(
            id=StepId(0, 0, number),
            tokens=tokens,
            positions=positions,
            slots=slots,
            wants_logits=np.arange(num_rows) >= self.num_encoded,
            samples=np.empty(0, np.int32),
            returns_logits=np.arange(self.num_encoded, num_rows, dtype=np.int32),
        )


def make_steps(vocab_size: int, context_length: int, num_slots: int, ubatch_size: int) -> tuple[Step, ...]:
    """A prompt, single tokens, then two slots at once, as far as context, slots and microbatch allow.

    The prompt is no longer than a cluster computes with all logits in one microbatch.
    """
    rng = np.random.default_rng(SEED)
    prompt_rows = min(PROMPT_ROWS, max_logits_rows(ubatch_size, vocab_size), context_length - 1)
    num_singles = min(SINGLE_STEPS, max(0, context_length - prompt_rows - 4))
    lengths = [0, 0]

    def rows(counts: tuple[int, ...]) -> Step:
        tokens = tuple(rng.integers(0, vocab_size, sum(counts)).tolist())
        positions = tuple(lengths[slot] + row for slot, count in enumerate(counts) for row in range(count))
        slots = tuple(slot for slot, count in enumerate(counts) for _ in range(count))
        for slot, count in enumerate(counts):
            lengths[slot] += count
        return Step(tokens, positions, slots)

    steps = [rows((prompt_rows,)), *(rows((1,)) for _ in range(num_singles))]
    if num_slots > 1 and ubatch_size >= 4 and lengths[0] + 3 <= context_length and context_length >= 3:
        steps += [rows((2, 2)), rows((1, 1))]
    return tuple(steps)


def make_encoder_steps(start: int, vocab_size: int, context_length: int, ubatch_size: int) -> tuple[Step, ...]:
    """For a model with an encoder: a prompt with some of what the decoder says, then single tokens.

    `start`: the token between what the encoder reads and what the decoder goes on from. One slot: the whole model's
    context keeps what the encoder made of one text.
    """
    rng = np.random.default_rng(SEED)
    num_prompt = min(PROMPT_ROWS, ubatch_size, context_length)
    num_said = min(ENCODER_SAID, num_prompt - 2)
    num_encoded = num_prompt - num_said - 1
    text = [token + int(token >= start) for token in rng.integers(0, vocab_size - 1, num_encoded).tolist()]
    said = rng.integers(0, vocab_size, num_said + min(SINGLE_STEPS, context_length - num_prompt)).tolist()
    tokens = [*text, start, *said]
    prompt = Step(tuple(tokens[:num_prompt]), tuple(range(num_prompt)), (0,) * num_prompt, num_encoded)
    singles = (Step((token,), (num_prompt + place,), (0,)) for place, token in enumerate(tokens[num_prompt:]))
    return (prompt, *singles)

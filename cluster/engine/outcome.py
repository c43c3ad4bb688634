"""What a finished step means for one of its sequences."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.engine.sequence import Sequence
from cluster.messages.step import Float32Array, SampledToken, SlotFailure


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What a step brought one sequence: a token (now in its log), logits of its rows from `first` on, or its end."""

    sequence: Sequence
    sampled: SampledToken | None = None
    logits: Float32Array | None = None  # [rows, V]
    first: int = 0
    failure: SlotFailure | None = None  # the stages cannot go on with it, and hold nothing of it

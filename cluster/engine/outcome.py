"""What a finished step means for its sequences."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.engine.batch import Batch
from cluster.engine.sequence import Sequence, State
from cluster.messages.step import Float32Array, SampledToken, SlotFailure, StepResult


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What a step brought one sequence: a token (now in its log), logits of its rows from `first` on, or its end."""

    sequence: Sequence
    sampled: SampledToken | None = None
    logits: Float32Array | None = None  # [rows, V]
    first: int = 0
    failure: SlotFailure | None = None  # the stages cannot go on with it, and hold nothing of it


def settle(batch: Batch, result: StepResult) -> list[StepOutcome]:
    """Moves the counters of the sequences and appends their tokens. What comes for one that has ended is dropped."""
    sampled_by_slot = {sampled.slot: sampled for sampled in result.sampled}
    failed_by_slot = {failure.slot: failure for failure in result.failures}
    outcomes: list[StepOutcome] = []
    logits_row = 0
    for chunk in batch.chunks:
        sequence, logits_first = chunk.sequence, logits_row
        logits_row += chunk.num_logits_rows
        if sequence.state is State.ENDED:
            continue
        sequence.num_computed = chunk.end
        sequence.num_in_flight -= chunk.num_rows
        if (failure := failed_by_slot.get(sequence.held_slot)) is not None:
            outcomes.append(StepOutcome(sequence, failure=failure))
        elif chunk.samples:
            sampled = sampled_by_slot[sequence.held_slot]
            sequence.log.append(sampled.token)
            outcomes.append(StepOutcome(sequence, sampled))
        elif chunk.num_logits_rows and result.logits is not None:
            rows = result.logits[logits_first:logits_row]
            outcomes.append(StepOutcome(sequence, logits=rows, first=chunk.first))
    return outcomes

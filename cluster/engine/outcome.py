"""What a finished step means for its sequences."""

from __future__ import annotations

from collections.abc import Sequence as Items
from typing import NamedTuple

from cluster.engine.batch import Batch
from cluster.engine.sequence import Sequence, State
from cluster.messages.step import Float32Array, SampledToken, SlotFailure, StepResult


class StepOutcome(NamedTuple):
    """What a step brought one sequence: tokens (now in its log), logits of its rows from `first` on, a vector, or
    its end.

    Without any of them it is a part of a prompt, of a request that is told of it or ends with it.
    """

    sequence: Sequence
    sampled: tuple[SampledToken, ...] = ()  # in order
    logits: Float32Array | None = None  # [rows, V]
    first: int = 0
    scored: tuple[SampledToken, ...] = ()  # tokens of its prompt, in order
    embedding: Float32Array | None = None  # [E]
    num_drafted: int = 0  # guesses that the step checked
    num_accepted: int = 0  # those of them that were right
    num_dropped_runs: int = 0  # microbatches under way, of guesses behind one that it turned out to be wrong
    failure: SlotFailure | None = None  # after these tokens the stages cannot go on with it, and hold nothing of it


def settle(batch: Batch, result: StepResult) -> list[StepOutcome]:
    """Moves the counters of the sequences and appends their tokens. What comes for one that has ended is dropped.

    Of a draft, the rows up to the first wrong guess count; those behind are noted, for the next step to take back, and
    so are those of microbatches that were sent behind it.
    """
    failed = {failure.slot: failure for failure in result.failures}
    outcomes: list[StepOutcome] = []
    given, num_given = result.sampled, len(result.sampled)
    end_row = num_taken = logits_end = num_scored = num_vectors = 0
    for chunk in batch.chunks:
        sequence, first_taken, logits_first, first_scored = chunk.sequence, num_taken, logits_end, num_scored
        num_rows = chunk.end - chunk.first
        end_row += num_rows
        while num_taken < num_given and given[num_taken].row < end_row:
            num_taken += 1
        while num_scored < len(result.scored) and result.scored[num_scored].row < end_row:
            num_scored += 1
        logits_end += num_rows if chunk.returns_logits else 0
        num_vectors += int(chunk.completes_vector)
        if sequence.state is State.ENDED or chunk.is_void:
            continue
        sequence.num_in_flight -= num_rows
        sequence.num_runs -= batch.decodes
        right, num_rejected, num_dropped, sampled = 0, 0, 0, given[first_taken:num_taken]
        # What was sampled before a chunk that is all guesses was its first one: else it would be void.
        num_known = int(chunk.behind is not None)
        if chunk.draft:
            right = num_right(chunk.draft[num_known:], sampled)
            sampled = sampled[: right + 1]
            num_rejected = len(chunk.draft) - num_known - right
            sequence.num_drafted += len(chunk.draft)
            sequence.num_accepted += num_known + right
        for token in sampled:
            sequence.log.append(token.token)
        if sequence.ahead and sampled:
            num_dropped = _settle_ahead(sequence, sampled)
        sequence.has_surplus |= num_rejected > 0
        sequence.num_computed, sequence.has_come_back = chunk.end - num_rejected, True
        sequence.sampling_known |= chunk.needs_sampling
        if sampled:
            sequence.num_losses = 0
        # A row that failed behind a wrong guess is nobody's loss.
        failure = failed.get(sequence.held_slot) if len(sampled) <= right else None
        scored = result.scored[first_scored:num_scored]
        if sampled or scored or failure is not None:
            drafted = (len(chunk.draft), num_known + right, num_dropped)
            outcomes.append(StepOutcome(sequence, sampled, None, 0, scored, None, *drafted, failure=failure))
        elif logits_end > logits_first and result.logits is not None:
            rows = result.logits[logits_first:logits_end]
            outcomes.append(StepOutcome(sequence, logits=rows, first=chunk.first))
        elif chunk.completes_vector and result.embeddings is not None:
            outcomes.append(StepOutcome(sequence, embedding=result.embeddings[num_vectors - 1]))
        elif sequence.params is not None and (sequence.params.report_progress or not sequence.generates):
            outcomes.append(StepOutcome(sequence))
    return outcomes


def _settle_ahead(sequence: Sequence, sampled: Items[SampledToken]) -> int:
    """Tokens came in place of the first guesses that were under way: whether the others still count. How many
    microbatches do not, which were sent as if all of them were right."""
    ahead = sequence.ahead
    if num_right(ahead, sampled) == min(len(ahead), len(sampled)):
        del ahead[: len(sampled)]
        return 0
    if sequence.num_in_flight:
        sequence.has_surplus = True
    num_dropped = sequence.forget_ahead()
    sequence.num_dropped_runs += num_dropped
    return num_dropped


def num_right(draft: Items[int], sampled: Items[SampledToken]) -> int:
    """How many guesses, from the first on, are what was sampled in their place.

    The tokens sampled behind them and behind one more count. What was sampled from the row of a wrong guess does not,
    nor what comes after it.
    """
    count = 0
    for guess, token in zip(draft, sampled, strict=False):
        if guess != token.token:
            break
        count += 1
    return count

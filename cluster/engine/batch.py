"""Batch: from sequences to the arrays of a microbatch, and from a step's result back to the sequences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cluster.api.errors import ClusterError
from cluster.engine.sequence import Kind, Sequence
from cluster.messages.step import NO_ROWS, Int32Array, Microbatch, SlotSampling, SlotStart, StepId, StepResult


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


@dataclass(frozen=True, slots=True)
class Batch:
    """A microbatch and the chunks that it was made of, in the order of their rows."""

    microbatch: Microbatch
    chunks: tuple[Chunk, ...]
    decodes: bool  # its rows are newly sampled tokens, not chunks of prompts
    sent_s: float

    @property
    def kind(self) -> tuple[bool, int, bool]:
        """Equal for those that take about as long, where attention does not reach further back."""
        return self.decodes, self.microbatch.num_rows, self.microbatch.exclusive


def choose_neighbours(ready: list[Sequence], num_chosen: int) -> list[Sequence]:
    """The longest idle sequence (the first) and those of `num_chosen` in all whose slots lie closest together.

    A stage computes neighbouring slots in one pass over its weights, and others in one pass each.
    """
    if num_chosen >= len(ready):
        return ready
    rank = {sequence.request_id: index for index, sequence in enumerate(ready)}
    by_slot = sorted(ready, key=_slot)
    first = by_slot.index(ready[0])
    starts = range(max(0, first - num_chosen + 1), min(first, len(ready) - num_chosen) + 1)
    groups = [by_slot[start : start + num_chosen] for start in starts]

    def spread(group: list[Sequence]) -> tuple[int, int]:
        """Slots that it spans; among equals, the longer idle ones go first."""
        return _slot(group[-1]) - _slot(group[0]), sum(rank[sequence.request_id] for sequence in group)

    closest: list[Sequence] = min(groups, key=spread)
    return sorted(closest, key=lambda sequence: rank[sequence.request_id])


def cut_chunk(sequence: Sequence, max_rows: int) -> Chunk:
    """The next rows of a sequence that has some to send, `max_rows` at most."""
    end = sequence.num_sent + min(sequence.num_unsent, max_rows)
    samples = sequence.kind is Kind.GENERATE and end == sequence.num_tokens
    return Chunk(sequence, sequence.num_sent, end, samples)


def next_row(sequence: Sequence) -> Chunk:
    """The row of the token that was sampled last, or is being sampled."""
    return Chunk(sequence, sequence.num_sent, sequence.num_sent + 1, samples=True)


def form_batch(
    step_id: StepId,
    chunks: Iterable[Chunk],
    starts: tuple[SlotStart, ...],
    *,
    decodes: bool,
    exclusive: bool,
    after: int | None,
    sent_s: float,
) -> Batch:
    """Lays the chunks out as rows, sorted by slot. Changes no sequence.

    `after`: the step that it follows, if it has to wait for that.
    """
    ordered = tuple(sorted(chunks, key=lambda chunk: _slot(chunk.sequence)))
    tokens: list[int] = []
    positions: list[int] = []
    slots: list[int] = []
    samples: list[int] = []
    returns: list[int] = []
    pending: list[int] = []
    for chunk in ordered:
        row, known = len(tokens), chunk.tokens
        tokens += known
        if len(known) < chunk.num_rows:
            pending.append(len(tokens))
            tokens.append(0)
        positions += range(chunk.first, chunk.end)
        slots += [_slot(chunk.sequence)] * chunk.num_rows
        returns += range(row, row + chunk.num_logits_rows)
        if chunk.samples:
            samples.append(row + chunk.num_rows - 1)
    wants_logits = np.zeros(len(tokens), dtype=np.bool_)
    wants_logits[samples + returns] = True
    microbatch = Microbatch(
        id=step_id,
        tokens=_int32(tokens),
        positions=_int32(positions),
        slots=_int32(slots),
        wants_logits=wants_logits,
        samples=_int32(samples),
        returns_logits=_int32(returns),
        new_sampling=_new_sampling(ordered),
        slot_starts=starts,
        exclusive=exclusive,
        after=after if exclusive or pending else None,
        pending=_int32(pending) if pending else NO_ROWS,
    )
    return Batch(microbatch, ordered, decodes, sent_s)


def check_result(microbatch: Microbatch, result: StepResult) -> None:
    """Raises ClusterError unless the result answers this microbatch: row for row, and with all logits.

    Nothing is sampled for slots that failed.
    """
    failed = {failure.slot for failure in result.failures}
    if not failed <= set(microbatch.slots.tolist()):
        raise ClusterError(f"step result: slots {sorted(failed)} failed that were not all in it; report a bug")
    wanted = [(int(row), int(microbatch.slots[row])) for row in microbatch.samples]
    asked = [(row, slot) for row, slot in wanted if slot not in failed]
    given = [(sampled.row, sampled.slot) for sampled in result.sampled]
    if sorted(given) != asked:
        raise ClusterError(f"step result: rows and slots {asked} were to be sampled, not {given}; report a bug")
    num_asked = len(microbatch.returns_logits)
    num_given = 0 if result.logits is None else len(result.logits)
    if num_given != num_asked:
        raise ClusterError(f"step result: {num_asked} rows of logits were asked, not {num_given}; report a bug")


def _new_sampling(chunks: tuple[Chunk, ...]) -> tuple[SlotSampling, ...]:
    return tuple(
        SlotSampling(_slot(chunk.sequence), chunk.sequence.params)
        for chunk in chunks
        if chunk.samples and chunk.sequence.params is not None and not chunk.sequence.sampling_sent
    )


def _slot(sequence: Sequence) -> int:
    assert sequence.slot is not None, f"request {sequence.request_id} has no slot"
    return sequence.slot


def _int32(values: list[int]) -> Int32Array:
    return np.array(values, dtype=np.int32)

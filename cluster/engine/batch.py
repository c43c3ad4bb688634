"""Batch: from chunks of sequences to the arrays of a microbatch, and whether a result answers these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from collections.abc import Sequence as Items
from dataclasses import dataclass

import numpy as np

from cluster.api.errors import ClusterError
from cluster.engine.chunk import Chunk
from cluster.messages.step import NO_ROWS, Int32Array, Microbatch, SlotSampling, SlotStart, StepId, StepResult


@dataclass(frozen=True, slots=True)
class Batch:
    """A microbatch and the chunks that it was made of, in the order of their rows."""

    microbatch: Microbatch
    chunks: tuple[Chunk, ...]
    decodes: bool  # its rows are newly sampled tokens, and guesses behind them, not chunks of prompts
    sent_s: float
    follows_runs: bool = False  # guesses were under way before it

    @property
    def is_guessed(self) -> bool:
        """All of its rows are guesses, behind others that are under way."""
        return self.microbatch.is_guessed

    @property
    def kind(self) -> tuple[bool, int, bool, bool, bool]:
        """Equal for those that take about as long, where attention does not reach further back."""
        sent = self.microbatch
        return self.decodes, sent.num_rows, sent.exclusive, bool(sent.restores), self.follows_runs


def form_batch(
    step_id: StepId,
    chunks: Iterable[Chunk],
    starts: tuple[SlotStart, ...],
    *,
    decodes: bool,
    exclusive: bool,
    after: int | None,
    sent_s: float,
    restores: tuple[int, ...] = (),
    follows_runs: bool = False,
) -> Batch:
    """Lays the chunks out as rows, sorted by slot. Changes no sequence.

    `after`: the step that it follows, if it has to wait for that. `restores` as in Microbatch.
    """
    ordered = tuple(sorted(chunks, key=lambda chunk: chunk.sequence.held_slot))
    tokens: list[int] = []
    positions: list[int] = []
    slots: list[int] = []
    samples: list[int] = []
    returns: list[int] = []
    pending: list[int] = []
    scores: list[int] = []
    targets: list[int] = []
    pooled: list[int] = []
    pools: list[int] = []
    for chunk in ordered:
        row = len(tokens)
        end_row = row + chunk.num_rows
        tokens += chunk.tokens
        if len(tokens) < end_row:
            pending.append(len(tokens))
            tokens.append(0)
        positions += range(chunk.first, chunk.end)
        slots += [chunk.sequence.held_slot] * (end_row - row)
        samples += range(end_row - chunk.num_samples, end_row)
        if chunk.returns_logits:
            returns += range(row, end_row)
        if num_scores := chunk.num_scores:
            scores += range(row, row + num_scores)
            targets += chunk.sequence.prompt[chunk.first + 1 : chunk.first + 1 + num_scores]
        if chunk.is_pooled:
            pooled += [row + of_chunk for of_chunk in chunk.pooled_rows]
            pools += [end_row - 1] if chunk.completes_vector else []
    pictures = [picture for chunk in ordered if (picture := chunk.picture) is not None]
    wants_logits = np.zeros(len(tokens), dtype=np.bool_)
    wants_logits[samples + returns + scores + pooled] = True  # by a list, which is faster than by an array
    microbatch = Microbatch(
        id=step_id,
        tokens=_int32(tokens),
        positions=_int32(positions),
        slots=_int32(slots),
        wants_logits=wants_logits,
        samples=_int32(samples),
        returns_logits=_int32(returns) if returns else NO_ROWS,
        new_sampling=_new_sampling(ordered),
        slot_starts=starts,
        exclusive=exclusive,
        after=after if exclusive or pending else None,
        pending=_int32(pending) if pending else NO_ROWS,
        scores=_int32(scores) if scores else NO_ROWS,
        targets=_int32(targets) if targets else NO_ROWS,
        embeds=ordered[0].is_pooled,
        pools=_int32(pools) if pools else NO_ROWS,
        scales=ordered[0].sequence.scales,
        restores=restores,
        is_guessed=ordered[0].behind is not None,
        is_pictured=bool(pictures),
        rows=np.concatenate(pictures) if pictures else None,
        pictures=tuple([one for chunk in ordered if (one := chunk.slot_picture)]) if pictures else (),
        non_causal=bool(pictures) and ordered[0].non_causal,
    )
    return Batch(microbatch, ordered, decodes, sent_s, follows_runs)


def check_result(microbatch: Microbatch, result: StepResult) -> None:
    """Raises ClusterError unless the result answers this microbatch: row for row, in order, and with all logits.

    The rows of a slot that failed are answered up to the one that could not be sampled, which may be its first.
    """
    failed = {failure.slot for failure in result.failures}
    if failed and not failed <= set(microbatch.slots.tolist()):
        raise ClusterError(f"step result: slots {sorted(failed)} failed that were not all in it; report a bug")
    rows = microbatch.samples.tolist()
    asked = list(zip(rows, microbatch.slots[rows].tolist(), strict=True))
    given = [(sampled.row, sampled.slot) for sampled in result.sampled]
    if given != (_up_to_failures(asked, given, failed) if failed else asked):
        raise ClusterError(
            f"step result: rows and slots {asked} were to be sampled, not {given}; slots {sorted(failed)} failed; "
            "report a bug"
        )
    asked = list(zip(microbatch.scores.tolist(), microbatch.targets.tolist(), strict=True))
    of_row = microbatch.slots.tolist()
    asked = [(row, token) for row, token in asked if of_row[row] not in failed] if failed else asked
    given = [(scored.row, scored.token) for scored in result.scored]
    if given != asked:
        raise ClusterError(f"step result: rows and tokens {asked} were to be scored, not {given}; report a bug")
    num_asked = len(microbatch.returns_logits)
    num_given = 0 if result.logits is None else len(result.logits)
    if num_given != num_asked:
        raise ClusterError(f"step result: {num_asked} rows of logits were asked, not {num_given}; report a bug")
    num_asked = len(microbatch.pools)
    num_given = 0 if result.embeddings is None else len(result.embeddings)
    if num_given != num_asked:
        raise ClusterError(f"step result: {num_asked} vectors were asked, not {num_given}; report a bug")


def _up_to_failures(
    asked: Items[tuple[int, int]], given: Items[tuple[int, int]], failed: set[int]
) -> list[tuple[int, int]]:
    """The asked (row, slot) that are to be answered: where a slot failed so many as are, but not all."""
    left = Counter(slot for _, slot in given if slot in failed)
    most = Counter(slot for _, slot in asked if slot in failed)
    answered = []
    for row, slot in asked:
        if slot not in failed:
            answered.append((row, slot))
        elif left[slot] and left[slot] < most[slot]:
            answered.append((row, slot))
            left[slot] -= 1
            most[slot] -= 1
    return answered


def _new_sampling(chunks: tuple[Chunk, ...]) -> tuple[SlotSampling, ...]:
    return tuple(
        SlotSampling(chunk.sequence.held_slot, chunk.sequence.params, len(chunk.sequence.prompt))
        for chunk in chunks
        if not chunk.sequence.sampling_sent and chunk.sequence.params is not None and chunk.needs_sampling
    )


def _int32(values: list[int]) -> Int32Array:
    return np.array(values, dtype=np.int32)

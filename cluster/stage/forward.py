"""One step of a model without the rows of the slots that fail in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cluster.messages.step import NO_ROWS, Float32Array, Int32Array, Microbatch
from cluster.stage.model import StageModel
from cluster.stage.slot_failures import SlotFailures


@dataclass(frozen=True, slots=True)
class Computed:
    """The rows of a microbatch that were computed: those of the slots that had not failed."""

    batch: Microbatch  # with these rows only
    rows: Int32Array | None  # which rows of the whole microbatch they are; None: all
    made: Float32Array  # what `StageModel.forward` gave for them

    def hidden(self, num_rows: int) -> Float32Array:
        """Hidden rows [T, E] for the whole microbatch of `num_rows`: zeros for what was not computed."""
        if self.rows is None:
            return self.made
        spread = np.zeros((num_rows, self.made.shape[1]), np.float32)
        spread[self.rows] = self.made
        return spread

    def places(self, rows: list[int]) -> tuple[list[int], list[int]]:
        """The `rows` of the whole microbatch that have logits in `made`, and where there."""
        wanting = np.flatnonzero(self.batch.wants_logits)
        found = wanting if self.rows is None else self.rows[wanting]
        place_of_row = {row: place for place, row in enumerate(found.tolist())}
        known = [row for row in rows if row in place_of_row]
        return known, [place_of_row[row] for row in known]

    def logits(self, rows: list[int]) -> Float32Array | None:
        """Logits [R, V] of `rows` of the whole microbatch, zeros for what was not computed; None of no rows."""
        if not rows:
            return None
        known, places = self.places(rows)
        if known == rows:
            return self.made[places]
        spread = np.zeros((len(rows), self.made.shape[1]), np.float32)
        spread[[rows.index(row) for row in known]] = self.made[places]
        return spread


def forward(model: StageModel, batch: Microbatch, hidden: Float32Array | None, failures: SlotFailures) -> Computed:
    """Compute the rows of all slots that have not failed, and find those that do.

    A model checks all rows before it computes any: only when it refuses them is each slot looked at.
    """
    if not failures:
        try:
            return Computed(batch, None, model.forward(batch, hidden))
        except ValueError:
            _find_faulty(model, batch, failures)
            if not failures:
                raise
    else:
        _find_faulty(model, batch, failures)
    return _forward_sound(model, batch, hidden, failures)


def _find_faulty(model: StageModel, batch: Microbatch, failures: SlotFailures) -> None:
    for slot in sorted(set(batch.slots.tolist())):
        failures.guard(slot, model.check, _only(batch, batch.slots == slot))


def _forward_sound(
    model: StageModel, batch: Microbatch, hidden: Float32Array | None, failures: SlotFailures
) -> Computed:
    rows = np.array([row for row, slot in enumerate(batch.slots.tolist()) if slot not in failures], np.int32)
    sound = _only(batch, rows)
    if not len(rows):
        width = model.picture_out_width if batch.is_pictured else model.hidden_width
        width = model.vocab_size if model.is_last else width
        return Computed(sound, rows, np.empty((0, width), np.float32))
    return Computed(sound, rows, model.forward(sound, None if hidden is None else hidden[rows]))


def _only(batch: Microbatch, rows: np.ndarray) -> Microbatch:  # numbers, or flags
    """The microbatch with these rows only; what it asks of single rows is left out."""
    slots = batch.slots[rows]
    return replace(
        batch,
        tokens=batch.tokens[rows],
        positions=batch.positions[rows],
        slots=slots,
        pictures=tuple(one for one in batch.pictures if one.slot in slots),
        wants_logits=batch.wants_logits[rows],
        samples=NO_ROWS,
        returns_logits=NO_ROWS,
    )

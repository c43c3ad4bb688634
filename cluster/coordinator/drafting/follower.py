"""Follower: a whole small model that is told texts, and guesses greedily how they go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worker_native import Slice


@dataclass(frozen=True, slots=True)
class Told:
    """What is new of a text: the first `num_kept` tokens that its slot was told stay, and these come behind them."""

    slot: int
    num_kept: int
    tokens: tuple[int, ...]


class Follower:
    """Texts by slot, and what the model holds of each: its own guesses, too, until a text says otherwise."""

    def __init__(self, model: Slice) -> None:
        self._model = model
        self._texts: list[list[int]] = [[] for _ in range(model.n_slots)]
        self._held: list[list[int]] = [[] for _ in range(model.n_slots)]

    def guess(self, told: Sequence[Told], length: int) -> list[list[int]]:
        """`length` tokens behind each of these texts, each the most probable one; fewer where a slot is full.

        With a length of 0 the texts are read only. ValueError for what `Slice.forward` does not take.
        """
        slots = [one.slot for one in told]
        if len(set(slots)) != len(slots) or not all(0 <= slot < self._model.n_slots for slot in slots):
            raise ValueError(f"slots: {slots} are not different ones of {self._model.n_slots}")
        for one in told:
            text = self._texts[one.slot]
            text[one.num_kept :] = one.tokens
            if len(text) > self._model.n_ctx or not text:
                raise ValueError(f"slot {one.slot}: a text of {len(text)} tokens, for {self._model.n_ctx}")
            self._go_back(one.slot, len(text) - 1)
            self._read(one.slot, max(1, self._model.n_batch // len(told)) if length else 1)
        guesses: list[list[int]] = [[] for _ in slots]
        rows = [self._texts[slot][len(self._held[slot]) :] for slot in slots]
        for step in range(length):
            going = [index for index, slot in enumerate(slots) if len(self._texts[slot]) + step <= self._model.n_ctx]
            if not going:
                break
            found = self._next([slots[index] for index in going], [rows[index] for index in going])
            for index, token in zip(going, found, strict=True):
                guesses[index].append(token)
                rows[index] = [token]
        return guesses

    def _go_back(self, slot: int, most: int) -> None:
        """To what the slot holds of its text, at most so many tokens: the last one is computed, for what follows it."""
        held, text = self._held[slot], self._texts[slot]
        same = next((place for place, pair in enumerate(zip(held, text, strict=False)) if pair[0] != pair[1]), None)
        length = min(most, len(held), len(text)) if same is None else min(most, same)
        if length < len(held):
            self._model.prepare_slot(slot, slot, length)
            del held[length:]

    def _read(self, slot: int, most_left: int) -> None:
        """A text but for its last rows, which are computed together with those of others."""
        text, held = self._texts[slot], self._held[slot]
        while len(text) - len(held) > most_left:
            end = min(len(held) + self._model.n_batch, len(text) - most_left)
            self._forward([slot], [text[len(held) : end]], wants_logits=False)

    def _next(self, slots: Sequence[int], rows: Sequence[Sequence[int]]) -> list[int]:
        """The most probable token behind each slot, once these rows are behind it."""
        self._forward(slots, rows, wants_logits=True)
        found: list[int] = self._model.wanted_logits().argmax(axis=1).tolist()
        return found

    def _forward(self, slots: Sequence[int], rows: Sequence[Sequence[int]], *, wants_logits: bool) -> None:
        lengths = [len(row) for row in rows]
        begins = [len(self._held[slot]) for slot in slots]
        positions = [begin + offset for begin, length in zip(begins, lengths, strict=True) for offset in range(length)]
        wanted = np.zeros(sum(lengths), np.bool_)
        if wants_logits:
            wanted[np.cumsum(lengths) - 1] = True
        self._model.forward(
            np.array([token for row in rows for token in row], np.int32),
            np.array(positions, np.int32),
            np.repeat(np.array(slots, np.int32), lengths),
            wanted,
        )
        for slot, row in zip(slots, rows, strict=True):
            self._held[slot] += row

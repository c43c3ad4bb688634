"""Microbatches through slices in this process, as stages compute them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import worker_native
from cluster.messages.pictures import PicturedPrompt, PictureRows

Rows = NDArray[np.float32]
Slices = Sequence[worker_native.Slice]


class Run(NamedTuple):
    """Rows of a slot: tokens, or rows [first, end) of a picture's."""

    slot: int
    first: int  # place in the slot
    tokens: Sequence[int] = ()
    picture: PictureRows | None = None
    end: int = 0

    @property
    def places(self) -> range:
        return range(self.first, self.end if self.picture else self.first + len(self.tokens))

    @property
    def rows(self) -> Rows | None:
        picture = self.picture
        return None if picture is None else picture.rows[self.first - picture.first : self.end - picture.first]


def forward(slices: Slices, *runs: Run) -> Rows:
    """The logits of the last row of each, in one microbatch."""
    slots = np.concatenate([np.full(len(run.places), run.slot, np.int32) for run in runs])
    places = np.concatenate([np.array(run.places, np.int32) for run in runs])
    tokens = np.concatenate([np.array(run.tokens or [0] * len(run.places), np.int32) for run in runs])
    last = np.cumsum([len(run.places) for run in runs]) - 1
    wants = np.isin(np.arange(len(slots)), last)
    given = [run.rows for run in runs]
    hidden = None if given[0] is None else np.concatenate([rows for rows in given if rows is not None])
    pictures = [(run.slot, run.picture.first, *run.picture.grid) for run in runs if run.picture and run.picture.grid]
    for one in slices:
        hidden = one.forward(tokens, places, slots, wants, hidden, pictures=pictures)
    return slices[-1].logits(last.tolist())


def runs_of(prompt: PicturedPrompt, slot: int, first: int = 0) -> list[Run]:
    """From place `first` on: texts and pictures, as mtmd computes them."""
    found, at = [], first
    for picture in (one for one in prompt.pictures if one.end > first):
        if picture.first > at:
            found.append(Run(slot, at, prompt.token_ids[at : picture.first]))
        found.append(Run(slot, max(at, picture.first), picture=picture, end=picture.end))
        at = picture.end
    return [*found, Run(slot, at, prompt.token_ids[at:])]


def prefill(slices: Slices, prompt: PicturedPrompt, slot: int, first: int = 0) -> Rows:
    """The logits [V] behind it."""
    logits = [forward(slices, run) for run in runs_of(prompt, slot, first)]
    return logits[-1][0]


def decode(slices: Slices, prompt: PicturedPrompt, slot: int, tokens: Sequence[int]) -> list[Rows]:
    """The logits behind each of the tokens that follow it."""
    place = len(prompt.token_ids)
    return [forward(slices, Run(slot, place + number, [token]))[0] for number, token in enumerate(tokens)]

"""Units of a program that makes text, computed by ggml: one text in each slot."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from cluster.messages.stage import StageCosts
from cluster.messages.step import NO_ROWS, Float32Array, Microbatch, StepId
from cluster.stage.model import StageSizes
from cluster.stage.models.program import load_units
from cluster.stage.models.text_calls import Rows, TextCalls
from cluster.stage.models.timing import timed_rows
from cluster.stage.spec import OnProgress, StageSpec, TextOptions
from cluster.wire.access.keys import Keys
from ggml.core.devices import Device
from ggml.core.errors import GgmlError
from ggml.generation.running import pieces
from ggml.graph.threads import set_num_threads
from ggml.programs.slices.memory import compute_bytes
from ggml.programs.slices.running import Slice
from ggml.programs.states import States

# Texts whose next tokens go in one call, at most. By reasoning: each number is a graph of its own, with attention once
# for each text in it.
MOST_JOINED = 32


class TextSlice:
    """Implements `stage.model.StageModel` with a slice of a program, and states of its own for each slot.

    Rows of a slot go in powers of two, as `ggml.generate` gives them, and lone rows of several slots, too: each number
    of rows is recorded once.
    """

    def __init__(self, spec: StageSpec, options: TextOptions, loaded: Slice, device: Device, build: str) -> None:
        self.build = build
        self.is_last = spec.stage == spec.num_stages - 1
        self.vocab_size = options.vocab_size
        self.hidden_width = self.picture_width = self.picture_out_width = max(1, options.row_width)
        self.calls = TextCalls(loaded, options, self.is_last)
        self._spec = spec
        self._options = options
        self._device = device
        self._states = [loaded.new_states() for _ in range(spec.num_slots)]
        self._lengths = [0] * spec.num_slots  # tokens that each slot holds
        self._refused: dict[int, str] = {}  # slots of the last step that the program refused, and why

    def sizes(self) -> StageSizes:
        units = self.calls.slice
        return StageSizes(units.weight_bytes, units.state_bytes * self._spec.num_slots, self._compute_bytes)

    def prepare_slot(self, slot: int, source: int, length: int) -> None:
        held = self._lengths[source]
        if length > held or (0 < length < held and not self._options.can_truncate):
            raise ValueError(f"slot {source}: it holds {held} tokens, and cannot be left with {length}")
        if slot != source and length:
            self._states[slot].take(self._states[source])
        elif not length and not self._options.can_truncate:
            self._states[slot].reset()
        self._lengths[slot] = length
        self._refused.pop(slot, None)

    def check(self, batch: Microbatch) -> None:
        for run in self._runs(batch):
            if run.slot in self._refused:
                raise ValueError(self._refused.pop(run.slot))

    def forward(self, batch: Microbatch, hidden: Float32Array | None) -> Float32Array:
        runs = self._runs(batch)
        if self._device.is_cpu:
            set_num_threads(self._spec.num_threads_exclusive if batch.exclusive else self._spec.num_threads)
        before = [] if self._options.can_truncate else [(run.slot, self._copied(run.slot)) for run in runs]
        rows = Rows(batch.tokens, batch.positions, hidden)
        made: dict[int, Float32Array] = {}
        for group in self._groups(runs):
            made.update(self._of_group(rows, batch, group))
        if self._refused:  # the others are computed again, without it; what is written at a position then is the same
            for slot, states in before:
                self._states[slot] = states
            raise ValueError(f"the program refuses rows of slots {sorted(self._refused)}")
        for run in runs:
            self._lengths[run.slot] = run.position + run.end - run.first
        return np.concatenate([made[run.slot] for run in runs])

    def measure(self) -> StageCosts:
        """Time a row of each of so many slots."""
        most = min(self._spec.num_slots, self._spec.ubatch_size)
        hidden = np.zeros((most, self.hidden_width), np.float32) if self.calls.takes_hidden else None

        def step_ms(num_rows: int) -> float:
            batch = _one_of_each(num_rows)
            begin_s = time.monotonic()
            self.forward(batch, None if hidden is None else hidden[:num_rows])
            took_ms = 1e3 * (time.monotonic() - begin_s)
            for slot in range(num_rows):
                self.prepare_slot(slot, slot, 0)
            return took_ms

        decode_ms = timed_rows(step_ms, most)
        return StageCosts.of(tuple(decode_ms.items()), self._spec.num_threads_exclusive / self._spec.num_threads)

    def close(self) -> None:
        del self.calls, self._states

    @cached_property
    def _compute_bytes(self) -> int:
        """Of the largest call."""
        most = pieces(self._most_tokens, self._most_tokens)[0]
        return compute_bytes(self.calls.slice.graph, self.calls.symbols(most), self._device)

    @property
    def _most_tokens(self) -> int:
        return min(self._options.most_tokens, self._spec.ubatch_size)

    def _runs(self, batch: Microbatch) -> list[_Run]:
        """The rows of each slot. ValueError for rows that follow nothing, or that have no room."""
        spec, first = self._spec, 0
        found: dict[int, _Run] = {}
        if len(batch.tokens) and not 0 <= int(batch.tokens.min()) <= int(batch.tokens.max()) < self.vocab_size:
            raise ValueError(f"tokens: one is outside of [0, {self.vocab_size})")
        while first < batch.num_rows:
            slot, position = int(batch.slots[first]), int(batch.positions[first])
            if not 0 <= slot < spec.num_slots or slot in found:
                raise ValueError(f"slots: {slot} is outside of [0, {spec.num_slots}), or there twice")
            end = first + int(np.append(batch.slots[first:] != slot, True).argmax())
            wanted = np.arange(position, position + end - first)
            if position != self._lengths[slot] or not np.array_equal(batch.positions[first:end], wanted):
                raise ValueError(f"positions: slot {slot} holds {self._lengths[slot]} tokens; rows must follow them")
            if position + end - first > spec.context_length:
                raise ValueError(f"positions: slot {slot} has room for {spec.context_length} tokens")
            found[slot] = _Run(slot, first, end, position)
            first = end
        return list(found.values())

    def _groups(self, runs: Sequence[_Run]) -> Iterator[list[_Run]]:
        """Runs that go together: lone rows of several slots, as many as a power of two, where the program can do it."""
        lone = [run for run in runs if run.end - run.first == 1]
        lone = lone if len(lone) > 1 and self.calls.can_join else []
        yield from ([run] for run in runs if run not in lone)
        first = 0
        for count in pieces(len(lone), MOST_JOINED):
            yield lone[first : first + count]
            first += count

    def _of_group(self, rows: Rows, batch: Microbatch, runs: list[_Run]) -> Iterator[tuple[int, Float32Array]]:
        """The slot of each run, and what is made of its rows; of the last stage, of those that want logits.

        Runs that the program refuses are noted.
        """
        made = self._of_several(rows, runs) if len(runs) > 1 else None
        for place, run in enumerate(runs):
            try:
                if made is None:
                    yield run.slot, self._of_one(rows, batch, run)
                else:
                    yield run.slot, self._wanted(made[place : place + 1], batch, run.first, run.end)
            except GgmlError as error:  # such as a token that the program has no row for
                self._refused[run.slot] = str(error)

    def _of_several(self, rows: Rows, runs: Sequence[_Run]) -> Float32Array | None:
        """A row of each run; None where the program refuses one of them: each by itself shows which."""
        try:
            return self.calls.together([self._states[run.slot] for run in runs], rows.part([run.first for run in runs]))
        except GgmlError:
            return None

    def _of_one(self, rows: Rows, batch: Microbatch, run: _Run) -> Float32Array:
        made = []
        for first, end in self._parts(batch, run):
            found = self.calls.alone(self._states[run.slot], rows.part(slice(first, end)))
            made.append(self._wanted(found, batch, first, end))
        return np.concatenate(made)

    def _parts(self, batch: Microbatch, run: _Run) -> Iterator[tuple[int, int]]:
        """The rows of each call. Where only the last row of one has logits, each wanted row is the last of a call."""
        ends = {run.end}
        if self.is_last and self._options.last_logits_only:
            ends.update((run.first + 1 + np.flatnonzero(batch.wants_logits[run.first : run.end])).tolist())
        first = run.first
        for end in sorted(ends):
            for count in pieces(end - first, self._most_tokens):
                yield first, first + count
                first += count

    def _wanted(self, made: Float32Array, batch: Microbatch, first: int, end: int) -> Float32Array:
        """What a call for these rows made, of all of them or of the last: of the last stage, what is wanted of it."""
        return made[batch.wants_logits[first:end][-len(made) :]] if self.is_last else made

    def _copied(self, slot: int) -> States:
        states = self.calls.slice.new_states()
        states.take(self._states[slot])
        return states


class _Run(NamedTuple):
    """Consecutive rows [first, end) of one slot, from this position on."""

    slot: int
    first: int
    end: int
    position: int


def _one_of_each(num_rows: int) -> Microbatch:
    """A first token in each of so many slots."""
    zeros = np.zeros(num_rows, np.int32)
    return Microbatch(
        id=StepId(0, 0, 0),
        tokens=zeros,
        positions=zeros,
        slots=np.arange(num_rows, dtype=np.int32),
        wants_logits=np.ones(num_rows, np.bool_),
        samples=NO_ROWS,
        returns_logits=NO_ROWS,
    )


def open_text_program(spec: StageSpec, options: TextOptions, report: OnProgress, keys: Keys | None) -> TextSlice:
    """Cut or fetch, and load what `spec` asks for, reporting (phase, fraction). Errors as for `open_gguf`."""
    loaded = load_units(spec, report, keys)
    return TextSlice(spec, options, loaded.units, loaded.device, loaded.build)

"""Units of a program that makes text, computed by ggml: one text in each slot.

Several tokens of one slot are a call, and so is the next token of several slots.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cluster.messages.stage import StageCosts
from cluster.messages.step import NO_ROWS, Float32Array, Microbatch, StepId
from cluster.stage.model import StageSizes
from cluster.stage.models.program import load_units
from cluster.stage.spec import OnProgress, StageSpec, TextOptions
from cluster.stage.tuning import MEASURE_ROUNDS, MEASURE_S, MEASURED_ROWS
from cluster.wire.access.keys import Keys
from ggml.core.devices import Device
from ggml.core.errors import GgmlError
from ggml.generation.programs import given_as
from ggml.generation.running import pieces
from ggml.graph.threads import set_num_threads
from ggml.ops.create.interop import from_numpy
from ggml.programs.expressions import extents
from ggml.programs.graph import Input
from ggml.programs.slices.memory import compute_bytes
from ggml.programs.slices.part import output_names
from ggml.programs.slices.running import Slice
from ggml.programs.states import RowStates, States
from ggml.tensors.tensor import Tensor

# Rows of as many texts go in one call at most. By reasoning: each number is a graph of its own, with attention once for
# each row in it.
MOST_JOINED = 32


class TextSlice:
    """Implements `stage.model.StageModel` with a slice of a program, and states of its own for each slot.

    Rows of a slot go in powers of two, as `ggml.generate` gives them: each number of rows is recorded once.
    """

    def __init__(self, spec: StageSpec, options: TextOptions, loaded: Slice, device: Device, build: str) -> None:
        self._spec = spec
        self._options = options
        self._units = _Units.of(loaded, options)
        self._device = device
        self._states = [loaded.new_states() for _ in range(spec.num_slots)]
        self._lengths = [0] * spec.num_slots  # tokens that each slot holds
        self._refused: dict[int, str] = {}  # slots of the last step that the program refused, and why
        self.build = build
        self.is_last = spec.stage == spec.num_stages - 1
        self.vocab_size = options.vocab_size
        self.hidden_width = max(1, options.row_width)
        self._joints: dict[int, _Units | None] = {}  # by the number of rows
        self._can_join: bool | None = None  # once it was tried

    def sizes(self) -> StageSizes:
        graph = self._units.slice.graph
        most = max(pieces(self._most_tokens, self._most_tokens), default=1)
        scratch = compute_bytes(graph, self._symbols(most), self._device)
        return StageSizes(self._units.slice.weight_bytes, self._units.slice.state_bytes * self._spec.num_slots, scratch)

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
        runs = list(self._runs(batch))
        if self._device.is_cpu:
            set_num_threads(self._spec.num_threads_exclusive if batch.exclusive else self._spec.num_threads)
        before = [] if self._options.can_truncate else [(run.slot, self._copied(run.slot)) for run in runs]
        made = {run.slot: rows for group in self._groups(runs) for run, rows in self._of_group(batch, group, hidden)}
        if self._refused:  # the others are computed again, without it; what is written at a position then is the same
            for slot, states in before:
                self._states[slot] = states
            raise ValueError(f"the program refuses rows of slots {sorted(self._refused)}")
        for run in runs:
            self._lengths[run.slot] = run.position + run.end - run.first
        return np.concatenate([made[run.slot] for run in runs])

    def measure(self) -> StageCosts:
        """Time a row of each of so many slots."""
        decode_ms: dict[int, float] = {}
        deadline_s = time.monotonic() + MEASURE_S
        most = min(self._spec.num_slots, self._spec.ubatch_size)
        hidden = np.zeros((most, self.hidden_width), np.float32) if self._units.hidden else None
        for num_rows in [size for size in MEASURED_ROWS if size <= most] * MEASURE_ROUNDS:
            batch = _one_of_each(num_rows)
            begin_s = time.monotonic()
            self.forward(batch, None if hidden is None else hidden[:num_rows])
            took_ms = 1e3 * (time.monotonic() - begin_s)
            decode_ms[num_rows] = min(took_ms, decode_ms.get(num_rows, math.inf))
            for slot in range(num_rows):
                self.prepare_slot(slot, slot, 0)
            if time.monotonic() > deadline_s:
                break
        return StageCosts.of(tuple(decode_ms.items()), self._spec.num_threads_exclusive / self._spec.num_threads)

    def close(self) -> None:
        del self._units, self._joints, self._states

    @property
    def _most_tokens(self) -> int:
        return min(self._options.most_tokens, self._spec.ubatch_size)

    def _symbols(self, num_tokens: int) -> tuple[int, ...]:
        """The extents of a call: a batch of one, and so many tokens."""
        counts = {"batch": 1, "count": num_tokens}
        return tuple([counts[one] for one in self._options.symbols])

    def _runs(self, batch: Microbatch) -> Iterator[_Run]:
        """The rows of each slot. ValueError for rows that follow nothing, or that have no room."""
        spec, first = self._spec, 0
        if len(batch.tokens) and not 0 <= int(batch.tokens.min()) <= int(batch.tokens.max()) < self.vocab_size:
            raise ValueError(f"tokens: one is outside of [0, {self.vocab_size})")
        while first < batch.num_rows:
            slot, position = int(batch.slots[first]), int(batch.positions[first])
            if not 0 <= slot < spec.num_slots:
                raise ValueError(f"slots: {slot} is outside of [0, {spec.num_slots})")
            end = first + int(np.append(batch.slots[first:] != slot, True).argmax())
            wanted = np.arange(position, position + end - first)
            if position != self._lengths[slot] or not np.array_equal(batch.positions[first:end], wanted):
                raise ValueError(f"positions: slot {slot} holds {self._lengths[slot]} tokens; rows must follow them")
            if position + end - first > spec.context_length:
                raise ValueError(f"positions: slot {slot} has room for {spec.context_length} tokens")
            yield _Run(slot, first, end, position)
            first = end

    def _parts(self, batch: Microbatch, run: _Run) -> Iterator[tuple[int, int]]:
        """The rows of each call. Where only the last row of one has logits, each wanted row is the last of a call."""
        ends = [run.end]
        if self.is_last and self._options.last_logits_only:
            ends = sorted(
                {run.end, *(run.first + 1 + np.flatnonzero(batch.wants_logits[run.first : run.end])).tolist()}
            )
        first = run.first
        for end in ends:
            for count in pieces(end - first, self._most_tokens):
                yield first, first + count
                first += count

    def _groups(self, runs: Sequence[_Run]) -> Iterator[list[_Run]]:
        """Runs that go together: lone rows of several slots, as many as a power of two, where the program can do it."""
        lone = [run for run in runs if run.end - run.first == 1]
        if len(lone) > 1 and self._can_join is None:
            self._can_join = self._joins_rightly()
        lone = lone if self._can_join else []
        yield from ([run] for run in runs if run not in lone)
        first = 0
        for count in pieces(len(lone), MOST_JOINED):
            yield lone[first : first + count]
            first += count

    def _of_group(
        self, batch: Microbatch, runs: list[_Run], hidden: Float32Array | None
    ) -> Iterator[tuple[_Run, Float32Array]]:
        """What is made of the rows of each run. Those that the program refuses are noted."""
        if len(runs) > 1 and (units := self._joined(len(runs))) is not None:
            rows = [run.first for run in runs]
            units.slice.states = RowStates([self._states[run.slot] for run in runs])
            with suppress(GgmlError):  # of one of them; which one, each shows by itself
                given = None if hidden is None else hidden[rows]
                made = self._call(units, (), batch.tokens[rows], batch.positions[rows], given)
                for place, run in enumerate(runs):
                    wanted = batch.wants_logits[run.first : run.end]
                    yield run, made[place : place + 1][wanted] if self.is_last else made[place : place + 1]
                return
        for run in runs:
            try:
                yield run, np.concatenate(self._alone(batch, run, hidden))
            except GgmlError as error:  # such as a token that the program has no row for
                self._refused[run.slot] = str(error)

    def _alone(self, batch: Microbatch, run: _Run, hidden: Float32Array | None) -> list[Float32Array]:
        """What is made of one slot's rows; of the last stage, for those that want logits."""
        self._units.slice.states = self._states[run.slot]
        made = []
        for first, end in self._parts(batch, run):
            rows = None if hidden is None else hidden[first:end]
            symbols = self._symbols(end - first)
            found = self._call(self._units, symbols, batch.tokens[first:end], batch.positions[first:end], rows)
            made.append(self._wanted(found, batch.wants_logits[first:end]) if self.is_last else found)
        return made

    def _joins_rightly(self) -> bool:
        """Whether two texts get together what each gets alone: no operation may look from one of them at the other."""
        units, rng = self._joined(2), np.random.default_rng(0)
        if units is None:
            return False
        together, alone = ([self._units.slice.new_states() for _ in range(2)] for _ in range(2))
        lengths = np.array([0, 0], np.int32)
        for slots in ([0], [0], [1], [0, 1], [0, 1]):  # at different positions, and then in the same steps
            tokens = rng.integers(0, self.vocab_size, len(slots)).astype(np.int32)
            hidden = rng.standard_normal((len(slots), self.hidden_width)).astype(np.float32)
            try:
                wanted = [
                    self._one(alone[slot], tokens[[row]], lengths[[slot]], hidden[[row]])
                    for row, slot in enumerate(slots)
                ]
                if len(slots) == 1:
                    self._one(together[slots[0]], tokens, lengths[slots], hidden)
                else:
                    units.slice.states = RowStates(together)
                    made = self._call(units, (), tokens, lengths, hidden)
                    if not _are_close(made, np.concatenate(wanted)):
                        return False
            except GgmlError:
                return False
            lengths[slots] += 1
        return True

    def _one(
        self, states: States, tokens: NDArray[np.int32], positions: NDArray[np.int32], hidden: Float32Array
    ) -> Float32Array:
        self._units.slice.states = states
        return self._call(self._units, self._symbols(1), tokens, positions, hidden)

    def _joined(self, num_rows: int) -> _Units | None:
        """The units for so many rows, each of another text; None where the program cannot be written so."""
        if num_rows not in self._joints:
            options = self._options
            found = self._units.slice.joint(
                options.symbols, options.positions, options.context_length, num_rows
            )  # fmt: skip
            self._joints[num_rows] = None if found is None else _Units.of(found, options)
        return self._joints[num_rows]

    def _copied(self, slot: int) -> States:
        states = self._units.slice.new_states()
        states.take(self._states[slot])
        return states

    def _call(
        self,
        units: _Units,
        symbols: tuple[int, ...],
        tokens: NDArray[np.int32],
        positions: NDArray[np.int32],
        hidden: Float32Array | None,
    ) -> Float32Array:
        """Hidden rows [n, E], or the logits [n, V] of all rows, or [1, V] of the last one."""
        ids, places = tokens.astype(np.int64)[None], positions.astype(np.int64)
        given: dict[str, Tensor] = {one.name: given_as(one, ids, places, False) for one in units.positions}
        if units.ids is not None:
            given[units.ids.name] = given_as(units.ids, ids, places, True)
        if units.hidden is not None:
            assert hidden is not None
            assert units.hidden.spec is not None
            shape = extents(units.hidden.spec.shape, symbols)
            given[units.hidden.name] = from_numpy(np.array(hidden).reshape(shape)).to(units.hidden.spec.dtype)
        made = units.slice(given, symbols)[units.made].float().cpu().numpy()
        width = self.vocab_size if self.is_last else self.hidden_width
        found: Float32Array = made.reshape(-1, made.shape[-1] if self.is_last else width)[:, :width]
        return found

    def _wanted(self, logits: Float32Array, wanted: NDArray[np.bool_]) -> Float32Array:
        return logits[wanted[-1:]] if self._options.last_logits_only else logits[wanted]


class _Units(NamedTuple):
    """A slice, and what its inputs are."""

    slice: Slice
    ids: Input | None
    positions: list[Input]
    hidden: Input | None
    made: str  # the name of what it is asked for

    @classmethod
    def of(cls, loaded: Slice, options: TextOptions) -> _Units:
        users = [one for one in loaded.graph.users if one.spec is not None]
        names = {one.name for one in users}
        return cls(
            loaded,
            next((one for one in users if one.name == options.tokens), None),
            [one for one in users if one.name in options.positions],
            next((one for one in users if one.name not in (options.tokens, *options.positions)), None),
            next(name for name in output_names(loaded.graph.out_tree) if name not in names),
        )


class _Run(NamedTuple):
    """Consecutive rows [first, end) of one slot, from this position on."""

    slot: int
    first: int
    end: int
    position: int


def _are_close(made: Float32Array, wanted: Float32Array) -> bool:
    """But for how several rows are rounded."""
    return made.shape == wanted.shape and bool(np.abs(made - wanted).max() <= 1e-3 * np.abs(wanted).max())


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

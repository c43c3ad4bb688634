"""Calls of a slice of a program that makes text: some tokens of one text, or the next token of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cluster.messages.step import Float32Array, Int32Array
from cluster.stage.spec import TextOptions
from ggml.core.errors import GgmlError
from ggml.generation.programs import given_as
from ggml.ops.create.interop import from_numpy
from ggml.programs.expressions import extents
from ggml.programs.graph import Input
from ggml.programs.slices.part import output_names
from ggml.programs.slices.running import Slice
from ggml.programs.states import RowStates, States
from ggml.tensors.tensor import Tensor

# Of rows of several texts against each alone: how several rows are rounded. By reasoning: activations of 8 bits differ
# by less, and a row that another one gets into differs by all of itself.
CLOSE = 1e-3


class Rows(NamedTuple):
    """What is computed: T rows, with their places in their texts. `hidden` [T, E] is what the stage before made."""

    tokens: Int32Array
    positions: Int32Array
    hidden: Float32Array | None

    def part(self, rows: slice | list[int]) -> Rows:
        """Some of them."""
        return Rows(self.tokens[rows], self.positions[rows], None if self.hidden is None else self.hidden[rows])


class TextCalls:
    """The calls of one slice. They give hidden rows [T, E], or the logits [T, V] of the last stage: of all rows, or,
    where `last_logits_only`, those of the last one."""

    def __init__(self, loaded: Slice, options: TextOptions, is_last: bool) -> None:
        self.slice = loaded
        self._options = options
        self._width = options.vocab_size if is_last else options.row_width
        self._is_last = is_last
        self._units = _Units.of(loaded, options)
        self._joints: dict[int, _Units | None] = {}  # by the number of rows
        self._can_join: bool | None = None  # once it was tried

    @property
    def takes_hidden(self) -> bool:
        return self._units.hidden is not None

    def symbols(self, num_tokens: int) -> tuple[int, ...]:
        """The extents of a call for one text."""
        counts = {"batch": 1, "count": num_tokens}
        return tuple([counts[one] for one in self._options.symbols])

    def alone(self, states: States, rows: Rows) -> Float32Array:
        """Rows of one text, which go into its states. GgmlError where the program refuses them."""
        self.slice.states = states
        return self._call(self._units, self.symbols(len(rows.tokens)), rows)

    def together(self, states: Sequence[States], rows: Rows) -> Float32Array:
        """The next row of each of several texts, where `can_join`. GgmlError where the program refuses one of them."""
        units = self._joined(len(states))
        assert units is not None, "a program that can be asked for two texts can be asked for more"
        units.slice.states = RowStates(states)
        return self._call(units, (), rows)

    @property
    def can_join(self) -> bool:
        """Whether several texts get together what each gets alone: found out the first time."""
        if self._can_join is None:
            self._can_join = self._joins_rightly()
        return self._can_join

    def _joins_rightly(self) -> bool:
        """Two texts, at different positions first: no operation may look from one of them at the other."""
        if self._joined(2) is None:
            return False
        rng = np.random.default_rng(0)
        beside, apart = ([self.slice.new_states() for _ in range(2)] for _ in range(2))
        lengths = np.zeros(2, np.int32)
        try:
            for slots in ([0], [0], [1], [0, 1], [0, 1]):
                hidden = rng.standard_normal((len(slots), max(1, self._options.row_width))).astype(np.float32)
                tokens = rng.integers(0, self._options.vocab_size, len(slots)).astype(np.int32)
                rows = Rows(tokens, lengths[slots], hidden)
                wanted = np.concatenate([self.alone(apart[slot], rows.part([row])) for row, slot in enumerate(slots)])
                made = self.together(beside, rows) if len(slots) > 1 else self.alone(beside[slots[0]], rows)
                if made.shape != wanted.shape or not np.abs(made - wanted).max() <= CLOSE * np.abs(wanted).max():
                    return False
                lengths[slots] += 1
        except GgmlError:  # which would be one text's, and is not known here
            return False
        return True

    def _joined(self, num_rows: int) -> _Units | None:
        """The units for so many rows, each of another text; None where the program cannot be written so."""
        if num_rows not in self._joints:
            options = self._options
            found = self.slice.joint(options.symbols, options.positions, options.context_length, num_rows)
            self._joints[num_rows] = None if found is None else _Units.of(found, options)
        return self._joints[num_rows]

    def _call(self, units: _Units, symbols: tuple[int, ...], rows: Rows) -> Float32Array:
        ids, places = rows.tokens.astype(np.int64)[None], rows.positions.astype(np.int64)
        given: dict[str, Tensor] = {one.name: given_as(one, ids, places, False) for one in units.positions}
        if units.ids is not None:
            given[units.ids.name] = given_as(units.ids, ids, places, True)
        if units.hidden is not None:
            assert rows.hidden is not None
            assert units.hidden.spec is not None
            shape = extents(units.hidden.spec.shape, symbols)
            given[units.hidden.name] = from_numpy(np.array(rows.hidden).reshape(shape)).to(units.hidden.spec.dtype)
        made: NDArray[np.float32] = units.slice(given, symbols)[units.made].float().cpu().numpy()
        return made.reshape(-1, made.shape[-1] if self._is_last else self._width)[:, : self._width]


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

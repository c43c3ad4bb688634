"""The seam of a stage: what it asks of a model, whatever computes that, and of the sampler behind the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cluster.messages.stage import StageCosts
from cluster.messages.step import Float32Array, Int32Array, Microbatch, SlotSampling

# One for each row: None, or 32-bit words with a bit for each token that may be drawn, as `worker_native` takes them.
Masks = Sequence[Int32Array | None]

# What a model or a sampler raises of one slot, which then fails by itself. A MemoryError is the whole stage's.
SLOT_ERRORS = (ValueError, TypeError, OverflowError, RuntimeError)


@dataclass(frozen=True, slots=True)
class StageSizes:
    """Memory of a loaded model, in bytes."""

    weight_bytes: int = 0
    kv_bytes: int = 0
    compute_bytes: int = 0


class StageModel(Protocol):
    """Some consecutive layers of a model, with what each slot holds in them. One thread at a time calls it.

    T is the number of rows of a microbatch, E the width of a hidden row, V the vocabulary size.
    """

    @property
    def build(self) -> str:
        """What computes it, and which build of that: all stages of a cluster must have the same."""

    @property
    def is_last(self) -> bool:
        """Whether `forward` gives logits, not hidden rows."""

    @property
    def hidden_width(self) -> int: ...

    @property
    def picture_width(self) -> int:
        """Of the rows of pictures that it is given: more than `hidden_width` where its layers, or those behind, add
        more of a picture to them."""

    @property
    def picture_out_width(self) -> int:
        """Of these rows as it passes them on."""

    @property
    def vocab_size(self) -> int: ...

    def sizes(self) -> StageSizes:
        """What it takes. Not while it computes."""

    def prepare_slot(self, slot: int, source: int, length: int) -> None:
        """Let `slot` hold exactly the first `length` tokens that `source` holds; at length 0 nothing.

        One of SLOT_ERRORS if it cannot; the slot is not used then before it was emptied.
        """

    def check(self, batch: Microbatch) -> None:
        """One of SLOT_ERRORS if `forward` would refuse these rows, which are all of one slot."""

    def forward(self, batch: Microbatch, hidden: Float32Array | None) -> Float32Array:
        """The hidden rows [T, E] of all rows; of the last stage, the logits [L, V] of those L rows that want them.

        Where the microbatch embeds, the last stage gives rows [L, W] in place of logits: what is behind its last norm,
        or the scores of a model that ranks.

        `hidden` [T, E] comes from the stage before; None for the first, unless its rows are those of pictures, which
        have widths of their own. The array must not be written to, and is to be let go of before the next call.
        ValueError if rows are refused: nothing was computed then. Any other error means that the model is unusable.
        """

    def measure(self) -> StageCosts:
        """Time steps, and choose by that how to compute. All slots are empty, before and after."""

    def close(self) -> None:
        """Free all memory; it is not called any more."""


class Sample(Protocol):
    """One sampled token."""

    @property
    def token(self) -> int: ...
    @property
    def logprob(self) -> float: ...
    @property
    def top(self) -> Sequence[tuple[int, float]]: ...
    @property
    def error(self) -> str:
        """Why the logits allow no token; empty if there is one."""


class MaskedSampler(Protocol):
    """Parameters and tokens of each slot. It has to be told what happens to the slots. One thread at a time."""

    def set(self, sampling: SlotSampling) -> None:
        """Lasts until `prepare_slot` empties the slot or copies into it. One of SLOT_ERRORS if they cannot be used."""

    def prepare_slot(self, slot: int, source: int, length: int) -> None:
        """As the model's."""

    def keep(self, tokens: Int32Array, positions: Int32Array, slots: Int32Array) -> None:
        """Note the tokens of rows that were computed."""

    def sample(
        self,
        logits: Float32Array,
        rows: Sequence[int],
        slots: Sequence[int],
        positions: Sequence[int],
        masks: Masks = ...,
    ) -> Sequence[Sample]:
        """A token from each of `rows` of `logits` [L, V]: what follows the token at that position of that slot.

        `masks`, one for each row or none at all, say which tokens may be drawn.
        """

    def score(
        self, logits: Float32Array, rows: Sequence[int], slots: Sequence[int], tokens: Sequence[int]
    ) -> Sequence[Sample]:
        """What the model thought of given tokens, each by one of `rows` of `logits`, as the slot's parameters ask."""


class Sampler(Protocol):
    """What a stage samples with: as a MaskedSampler, but it makes the masks itself, of the slots' grammars."""

    def set(self, sampling: SlotSampling) -> None: ...

    def prepare_slot(self, slot: int, source: int, length: int) -> None: ...

    def keep(self, tokens: Int32Array, positions: Int32Array, slots: Int32Array) -> None: ...

    def sample(
        self,
        logits: Float32Array,
        rows: Sequence[int],
        slots: Sequence[int],
        positions: Sequence[int],
        is_guessed: bool = False,
    ) -> Sequence[Sample]:
        """`is_guessed`: the token of a slot's first row is no more than a guess, as those behind it are."""

    def score(
        self, logits: Float32Array, rows: Sequence[int], slots: Sequence[int], tokens: Sequence[int]
    ) -> Sequence[Sample]: ...

    def compile(self, grammar: str) -> None:
        """Have a grammar ready before a slot is to follow it; of an empty one the texts of all tokens, for DRY.

        For any thread. UsageError if it cannot be used.
        """

    def follow(self) -> None:
        """The step is answered: begin what the next one may need."""

    def close(self) -> None:
        """It is not called any more."""

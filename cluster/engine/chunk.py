"""Chunk: consecutive rows of one sequence in one microbatch."""

from __future__ import annotations

from typing import NamedTuple

from cluster.api.embedding import Pooling
from cluster.engine.sequence import Kind, Sequence
from cluster.messages.pictures import PictureRows
from cluster.messages.step import Float32Array, SlotPicture


class Chunk(NamedTuple):  # made for each sequence of each step: a tuple is made in a third of a dataclass's time
    """Rows [first, end) of a sequence: tokens of its log, and then those of a draft, if it has one.

    Where both together end before `end`, the last row's token is still to be sampled, by the step that the
    microbatch follows.
    """

    sequence: Sequence
    first: int
    end: int
    # A token is sampled from so many of its last rows: one more than the draft has, or as many if all are a draft's.
    num_samples: int
    draft: tuple[int, ...] = ()  # guesses of the tokens behind the log
    # All of its rows are a draft's, behind another one that is under way, as if that were right: the sequence's branch
    # for which that is so. None: its first row is known, or will be before it is computed.
    behind: int | None = None
    num_runs: int = 1  # chunks of drafts, this one included, that the sequence is to have under way at a time

    @property
    def is_void(self) -> bool:
        """A guess before it was wrong: what comes of it is of another text."""
        return self.behind is not None and self.behind != self.sequence.branch

    @property
    def num_rows(self) -> int:
        return self.end - self.first

    @property
    def returns_logits(self) -> bool:
        """The full logits of its rows travel back."""
        return self.sequence.kind is Kind.LOGITS

    @property
    def needs_sampling(self) -> bool:
        """The last stage has to know the sequence's parameters for it: it samples from it, or it is to learn of tokens
        that were drawn before."""
        return self.num_samples > 0 or self.num_scores > 0 or self.end > len(self.sequence.prompt)

    @property
    def num_scores(self) -> int:
        """So many of its rows, from the first on, are followed by a token of the prompt that is scored."""
        sequence = self.sequence
        return max(0, min(self.end, len(sequence.prompt) - 1) - self.first) if sequence.scores_prompt else 0

    @property
    def is_pooled(self) -> bool:
        """A vector is made of its sequence."""
        return self.sequence.pooling is not None

    @property
    def completes_vector(self) -> bool:
        """The vector is made once its rows are there."""
        return self.is_pooled and self.end == len(self.sequence.prompt)

    @property
    def pooled_rows(self) -> range:
        """Those of its rows that a vector is made of, counted from its first."""
        match self.sequence.pooling:
            case Pooling.MEAN:
                return range(self.num_rows)
            case Pooling.CLS:
                return range(int(self.first == 0))
            case Pooling.LAST | Pooling.RANK:
                return range(self.num_rows - int(self.completes_vector), self.num_rows)
            case _:
                return range(0)

    @property
    def non_causal(self) -> bool:
        """Its rows see each other: they are a whole picture, and alone in their microbatch."""
        within = self._within
        return within is not None and within.non_causal

    @property
    def picture(self) -> Float32Array | None:
        """Its rows [T, E], if they are a picture's."""
        within = self._within
        return None if within is None else within.rows[self.first - within.first : self.end - within.first]

    @property
    def slot_picture(self) -> SlotPicture | None:
        """That picture, for stages that tell positions by it."""
        within = self._within
        if within is None or within.grid is None:
            return None
        return SlotPicture(self.sequence.held_slot, within.first, *within.grid)

    @property
    def _within(self) -> PictureRows | None:
        return self.sequence.picture_at(self.first) if self.sequence.pictures else None

    @property
    def tokens(self) -> list[int]:
        """The tokens of its rows that are known by now: all, or all but the last."""
        if self.picture is not None:
            return [0] * self.num_rows
        known = self.sequence.log[self.first : self.end]
        return known + list(self.draft) if self.draft else known


def cut_chunk(sequence: Sequence, max_rows: int) -> Chunk:
    """The next rows of a sequence that has some to send, all of one picture or all tokens: `max_rows` at most, unless
    they are inseparable."""
    end = sequence.num_sent + min(sequence.num_unsent, max_rows)
    if sequence.pictures:
        run_end = sequence.run_end(sequence.num_sent)
        end = run_end if sequence.inseparable_at(sequence.num_sent) else min(end, run_end)
    samples = sequence.kind is Kind.GENERATE and sequence.generates and end == sequence.num_tokens
    return Chunk(sequence, sequence.num_sent, end, int(samples))


def next_row(sequence: Sequence, draft: tuple[int, ...] = (), num_runs: int = 1) -> Chunk:
    """The row of the token that was sampled last, or is being sampled; and behind one that is known, a draft's."""
    first = sequence.num_sent
    return Chunk(sequence, first, first + 1 + len(draft), 1 + len(draft), draft, None, num_runs)


def next_run(sequence: Sequence, draft: tuple[int, ...], num_runs: int) -> Chunk:
    """The rows of guesses behind those that are under way. The first one is of what the row before it will sample."""
    first = sequence.num_sent
    assert first == sequence.num_tokens + len(sequence.ahead), "a token is not even guessed"
    return Chunk(sequence, first, first + len(draft), len(draft), draft, sequence.branch, num_runs)

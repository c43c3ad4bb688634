"""Pace: what steps that decode take, with drafts and without."""

from __future__ import annotations

from cluster.engine.batch import Batch
from cluster.engine.cost.model import StepCostModel
from cluster.engine.cost.tuning import MOST_OUTLIER, STEP_FORGETTING, STEP_MEMORY

_Kind = tuple[int, int]  # sequences, and rows of them all
_Run = tuple[int, int]  # rows of one sequence, and microbatches that it is to have under way at a time


class Pace:
    """Seconds of a step by its rows: as they were seen of late, else as the cost model says by those that were.

    What stages measured of themselves is for rows of as many sequences, and without messages and readers; drafts are
    rows of one. What was seen long ago is slowly forgotten, so that it is tried again. Holds no clock.
    """

    def __init__(self, costs: StepCostModel) -> None:
        self._costs = costs
        self.forget()

    def forget(self) -> None:
        """Other stages."""
        self._seen_s: dict[_Kind, float] = {}
        self._ahead_s: dict[int, float] = {}  # steps that were sent before the one before had ended, by sequences
        self._turns_s: dict[_Run, float] = {}
        self._turn_s: tuple[float, float] | None = None  # of all of these, and as the cost model says
        self._intervals_s: dict[_Run, float] = {}

    def saw(self, batch: Batch, took_s: float) -> None:
        """A step was answered, `took_s` after it was sent or the one before it was answered."""
        lengths = {chunk.num_rows for chunk in batch.chunks}
        if not batch.decodes or len(lengths) != 1:
            return  # drafts of several lengths are computed in several calls: that is told apart by none of these
        num_sequences, num_rows, exclusive = len(batch.chunks), batch.microbatch.num_rows, batch.microbatch.exclusive
        if len(batch.microbatch.pending):
            self._ahead_s[num_sequences] = _mixed(self._ahead_s.get(num_sequences), took_s)
        else:
            told_s = self.step_s(num_sequences, num_rows, exclusive=exclusive) or took_s
            known_s = self._seen_s.get((num_sequences, num_rows), min(took_s, MOST_OUTLIER * told_s))
            self._seen_s[num_sequences, num_rows] = _mixed(known_s, took_s)
        for kind, seen_s in self._seen_s.items():
            told_s = self._told_s(*kind, exclusive=exclusive)
            if told_s and kind != (num_sequences, num_rows):
                self._seen_s[kind] += STEP_FORGETTING * (told_s - seen_s)
        self._forget_runs(exclusive=exclusive)

    def saw_run(self, batch: Batch, took_s: float, turn_s: float, *, exclusive: bool) -> None:
        """A draft was answered that had others under way behind it, or before it.

        `took_s`: since the one before it was answered; `turn_s`: since it was sent. `exclusive`: as steps without
        drafts are sent.
        """
        (chunk,) = batch.chunks
        run = (chunk.num_rows, chunk.num_runs)
        if not batch.is_guessed:  # its token was known: nothing of the sequence was worth waiting for
            known_s = self._turns_s.get(run, min(turn_s, MOST_OUTLIER * self.turn_s(*run, exclusive=exclusive)))
            self._turns_s[run] = _mixed(known_s or turn_s, turn_s)
            told_s = self._costs.step_s(chunk.num_rows, exclusive=False)
            all_s, all_told_s = self._turn_s or (self._turns_s[run], told_s)
            self._turn_s = _mixed(all_s, turn_s), all_told_s + (1 - STEP_MEMORY) * (told_s - all_told_s)
        elif not chunk.is_void:
            known_s = self._intervals_s.get(run, min(took_s, MOST_OUTLIER * self.interval_s(*run, exclusive=exclusive)))
            self._intervals_s[run] = _mixed(known_s or took_s, took_s)
        self._forget_runs(exclusive=exclusive)

    def turn_s(self, num_rows: int, num_runs: int, *, exclusive: bool) -> float:
        """From the sending of a draft with so many rows to its answer, of a sequence of which `num_runs` are under way.

        0 if nothing is known. `exclusive`: as steps without drafts are sent; those of which several are under way have
        no cores lent.
        """
        seen_s = self._turns_s.get((num_rows, num_runs))
        return self._told_turn_s(num_rows, exclusive=exclusive) if seen_s is None else seen_s

    def interval_s(self, num_rows: int, num_runs: int, *, exclusive: bool) -> float:
        """Between the answers of two such drafts, one right behind the other; 0 if nothing is known."""
        seen_s = self._intervals_s.get((num_rows, num_runs))
        return self._told_interval_s(num_rows, num_runs, exclusive=exclusive) if seen_s is None else seen_s

    def plain_s(self, num_sequences: int, *, exclusive: bool) -> float:
        """Of a step without drafts, which follows another closely where that is done; 0 if nothing is known."""
        ahead_s = self._ahead_s.get(num_sequences)
        seen_s = self._seen_s.get((num_sequences, num_sequences))
        known = [each for each in (ahead_s, seen_s) if each is not None]
        return min(known) if known else self._costs.step_s(num_sequences, exclusive=exclusive)

    def step_s(self, num_sequences: int, num_rows: int, *, exclusive: bool) -> float:
        """Of a step that is sent when the one before was answered, with equally many rows of each sequence.

        0 if nothing is known. One that was never seen is thought no slower than the cost model says: then it is seen.
        """
        seen_s = self._seen_s.get((num_sequences, num_rows))
        return self._told_s(num_sequences, num_rows, exclusive=exclusive) if seen_s is None else seen_s

    def _told_s(self, num_sequences: int, num_rows: int, *, exclusive: bool) -> float:
        plain_s = self.plain_s(num_sequences, exclusive=exclusive)
        told_plain_s = self._costs.step_s(num_sequences, exclusive=exclusive)
        return _as_told(plain_s, told_plain_s, self._costs.step_s(num_rows, exclusive=exclusive))

    def _told_turn_s(self, num_rows: int, *, exclusive: bool) -> float:
        """By others that were seen, or by steps without drafts."""
        known = self._turn_s or self._plain(exclusive=exclusive)
        return _as_told(*known, self._costs.step_s(num_rows, exclusive=False))

    def _plain(self, *, exclusive: bool) -> tuple[float, float]:
        return self.plain_s(1, exclusive=exclusive), self._costs.step_s(1, exclusive=exclusive)

    def _told_interval_s(self, num_rows: int, num_runs: int, *, exclusive: bool) -> float:
        turn_s = self.turn_s(num_rows, num_runs, exclusive=exclusive)
        return max(turn_s / num_runs, self._costs.slowest_s(num_rows))

    def _forget_runs(self, *, exclusive: bool) -> None:
        if self._turn_s is not None:
            seen_s, of_told_s = self._turn_s
            plain_s = _as_told(*self._plain(exclusive=exclusive), of_told_s)
            self._turn_s = seen_s + STEP_FORGETTING * (plain_s - seen_s), of_told_s
        for run, seen_s in self._turns_s.items():
            told_s = self._told_turn_s(run[0], exclusive=exclusive)
            self._turns_s[run] += STEP_FORGETTING * (told_s - seen_s)
        for run, seen_s in self._intervals_s.items():
            told_s = self._told_interval_s(*run, exclusive=exclusive)
            self._intervals_s[run] += STEP_FORGETTING * (told_s - seen_s)


def _as_told(seen_s: float, told_s: float, told_other_s: float) -> float:
    """What another step takes, if one takes `seen_s`; the cost model says `told_s` and `told_other_s`.

    What the one took more than was told is that of messages, which the other has, too.
    """
    if not told_s:
        return seen_s
    return seen_s * told_other_s / told_s if seen_s < told_s else seen_s + told_other_s - told_s


def _mixed(before_s: float | None, took_s: float) -> float:
    if before_s is None:
        return took_s
    return before_s + (1 - STEP_MEMORY) * (min(took_s, MOST_OUTLIER * before_s) - before_s)

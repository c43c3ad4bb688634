"""Pace: what steps that decode take, with drafts and without."""

from __future__ import annotations

from cluster.engine.batch import Batch
from cluster.engine.cost.model import StepCostModel
from cluster.engine.cost.tuning import MOST_OUTLIER, STEP_FORGETTING, STEP_MEMORY

_Kind = tuple[int, int]  # sequences, and rows of them all


class Pace:
    """Seconds of a step by its rows: as they were seen of late, else as the cost model says in proportion to those.

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
        told_s = self._costs.step_s(num_sequences, exclusive=exclusive)
        return plain_s * self._costs.step_s(num_rows, exclusive=exclusive) / told_s if told_s else plain_s


def _mixed(before_s: float | None, took_s: float) -> float:
    if before_s is None:
        return took_s
    return before_s + (1 - STEP_MEMORY) * (min(took_s, MOST_OUTLIER * before_s) - before_s)

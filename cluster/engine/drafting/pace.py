"""Pace: what steps that decode take, with drafts and without."""

from __future__ import annotations

from cluster.engine.batch import Batch
from cluster.engine.cost.model import StepCostModel
from cluster.engine.cost.tuning import MOST_OUTLIER, STEP_MEMORY


class Pace:
    """Seconds of a step by its rows: as they were seen of late, else as the cost model says in proportion to those.

    What stages measured of themselves is for rows of as many sequences, and without messages and readers; drafts are
    rows of one. Holds no clock.
    """

    def __init__(self, costs: StepCostModel) -> None:
        self._costs = costs
        self.forget()

    def forget(self) -> None:
        """Other stages."""
        self._seen_s: dict[tuple[int, int], float] = {}  # by sequences and rows
        self._ahead_s: dict[int, float] = {}  # steps that were sent before the one before had ended, by sequences

    def saw(self, batch: Batch, took_s: float) -> None:
        """A step was answered, `took_s` after it was sent or the one before it was answered."""
        lengths = {chunk.num_rows for chunk in batch.chunks}
        if not batch.decodes or len(lengths) != 1:
            return  # drafts of several lengths are computed in several calls: that is told apart by none of these
        num_sequences, num_rows = len(batch.chunks), batch.microbatch.num_rows
        if len(batch.microbatch.pending):
            self._ahead_s[num_sequences] = _mixed(self._ahead_s.get(num_sequences), took_s)
        else:
            key = num_sequences, num_rows
            self._seen_s[key] = _mixed(self._seen_s.get(key), took_s)

    def plain_s(self, num_sequences: int, *, exclusive: bool) -> float:
        """Of a step without drafts, which follows another closely where that is done; 0 if nothing is known."""
        ahead_s = self._ahead_s.get(num_sequences)
        seen_s = self._seen_s.get((num_sequences, num_sequences))
        known = [each for each in (ahead_s, seen_s) if each is not None]
        return min(known) if known else self._costs.step_s(num_sequences, exclusive=exclusive)

    def drafted_s(self, num_sequences: int, num_rows: int, *, exclusive: bool) -> float:
        """Of a step in which so many sequences have drafts as long as each other's; 0 if nothing is known.

        One that was never seen is guessed to be no slower than the cost model says: then it is seen.
        """
        seen_s = self._seen_s.get((num_sequences, num_rows))
        if seen_s is not None:
            return seen_s
        told_s = self._costs.step_s(num_sequences, exclusive=exclusive)
        if not told_s:
            return self.plain_s(num_sequences, exclusive=exclusive)
        times = self._costs.step_s(num_rows, exclusive=exclusive) / told_s
        return times * self.plain_s(num_sequences, exclusive=exclusive)


def _mixed(before_s: float | None, took_s: float) -> float:
    if before_s is None:
        return took_s
    return before_s + (1 - STEP_MEMORY) * (min(took_s, MOST_OUTLIER * before_s) - before_s)

"""Outages: the times in which stages were lost, and what was computed again after them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OutageFigures:
    """For `cluster status`."""

    num_ended: int = 0  # since the start: the stages were there again
    lost_s: float = 0.0  # in all, the one that lasts included
    num_replayed: int = 0  # tokens that the stages had computed, and that some or all of them computed again
    length_s: float = 0.0  # of the one that lasts; 0 where none does


NO_OUTAGES = OutageFigures()


class Outages:
    """Counts; times are the engine's."""

    def __init__(self) -> None:
        self._begin_s: float | None = None
        self._num_ended = 0
        self._lost_s = 0.0
        self._num_replayed = 0

    def begin(self, now_s: float) -> None:
        """Something was lost."""
        if self._begin_s is None:
            self._begin_s = now_s

    def end(self, now_s: float, num_replayed: int = 0) -> None:
        """The stages are there; so many tokens are computed again."""
        self._num_replayed += num_replayed
        if self._begin_s is not None:
            self._lost_s += now_s - self._begin_s
            self._num_ended += 1
            self._begin_s = None

    def figures(self, now_s: float) -> OutageFigures:
        """For any thread."""
        begin_s = self._begin_s
        length_s = 0.0 if begin_s is None else max(0.0, now_s - begin_s)
        return OutageFigures(self._num_ended, self._lost_s + length_s, self._num_replayed, length_s)

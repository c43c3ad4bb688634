"""Outages: the times in which stages were lost, and what was computed again after them."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.messages.stage import StageFailure


@dataclass(frozen=True, slots=True)
class OutageFigures:
    """For `cluster status`."""

    num_ended: int = 0  # since the start: the stages were there again
    lost_s: float = 0.0  # in all, the one that lasts included
    num_replayed: int = 0  # tokens that the stages had computed, and that some or all of them computed again
    length_s: float = 0.0  # of the one that lasts; 0 where none does


NO_OUTAGES = OutageFigures()


class Outages:
    """The one that lasts, if one does, and what all of them cost; times are the engine's."""

    def __init__(self) -> None:
        self.cause: StageFailure | None = None  # of the one that lasts; None: the stages are there
        self.is_on_purpose = False  # somebody asked for it
        self.is_cut = False  # what is known of it is that a connection broke
        self._early: StageFailure | None = None  # its epoch is still to begin
        self._begin_s: float | None = None
        self._num_ended = 0
        self._lost_s = 0.0
        self._num_replayed = 0

    def is_begun_by(self, failure: StageFailure, epoch: int) -> bool:
        """Whether one begins with it: not with one of an older epoch, nor of a newer one before that begins."""
        if failure.epoch > epoch:
            self._early = failure
        return self.cause is None and failure.epoch == epoch

    def begin(self, now_s: float, cause: StageFailure, *, is_cut: bool, is_on_purpose: bool = False) -> None:
        """Something was lost; nothing was, until now."""
        self.cause, self.is_cut, self.is_on_purpose = cause, is_cut, is_on_purpose
        self._begin_s = now_s

    def end(self, now_s: float, num_replayed: int = 0) -> StageFailure | None:
        """The stages are there, in a newer epoch; so many tokens are computed again.

        Returns a failure that was told of before: of that epoch, maybe.
        """
        self._num_replayed += num_replayed
        if self._begin_s is not None:
            self._lost_s += now_s - self._begin_s
            self._num_ended += 1
        self.cause = self._begin_s = None
        self.is_on_purpose = self.is_cut = False
        early, self._early = self._early, None
        return early

    def figures(self, now_s: float) -> OutageFigures:
        """For any thread."""
        begin_s = self._begin_s
        length_s = 0.0 if begin_s is None else max(0.0, now_s - begin_s)
        return OutageFigures(self._num_ended, self._lost_s + length_s, self._num_replayed, length_s)

"""StepTimePredictor: when the step under way is likely to end, to go by those before it."""

from __future__ import annotations

import math

from cluster.engine.cost.tuning import LEAD, LEAST_LEAD_S


class StepTimePredictor:
    """Predicts steps that follow one another, each beginning when the one before has been answered. Holds no clock."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Other stages, or none."""
        self._answered_s = -math.inf
        self._kind: object = None
        self._took_s = self._took_before_s = math.inf

    @property
    def took_s(self) -> float:
        """What the step took that was answered last; infinite before one was."""
        return self._took_s

    def answered(self, kind: object, sent_s: float, now_s: float) -> None:
        """A step that was sent at `sent_s` has been answered. Those of one `kind` take about as long."""
        took_before_s = self._took_s if kind == self._kind else math.inf
        self._kind = kind
        self._took_s, self._took_before_s = now_s - self._begun_s(sent_s), took_before_s
        self._answered_s = now_s

    def issue_at_s(self, kind: object, sent_s: float, guess_s: float) -> float:
        """When to send another step behind the one of `kind` under way: in time for its end, and not much sooner.

        What comes until then can go before it. `guess_s`: how long that step takes, if the last was of another kind.
        """
        takes_s = min(self._took_s, self._took_before_s) if kind == self._kind else guess_s
        return self._begun_s(sent_s) + takes_s - max(LEAD * takes_s, LEAST_LEAD_S)

    def _begun_s(self, sent_s: float) -> float:
        return max(sent_s, self._answered_s)

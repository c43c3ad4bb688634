"""When a cluster that is watched is repaired: at once, later, or not any more. Pure: it holds no clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

FIRST_PAUSE_S = 0.2
MOST_PAUSE_S = 5.0
STEADY_S = 10.0  # a cluster that served for so long was repaired indeed
MOST_REPAIRS = 8  # in a row; with the pauses between them half a minute, and then something else than time is needed
# What lives may come back by itself: a coordinator begins a new epoch over the same stages within 0.2 s.
GRACE_S = 3.0


class Finding(Enum):
    """How a look at a cluster ended."""

    WELL = "well"
    DEAD = "dead"  # a process is gone, or will never answer: nothing but another one helps
    SILENT = "silent"  # it does not serve, though all of its processes live
    UNKNOWN = "unknown"  # nothing can be said yet


class Choice(Enum):
    """What is to be done about it."""

    NOTHING = "nothing"
    REPAIR = "repair"
    GIVE_UP = "give up"  # chosen once


@dataclass(slots=True)
class Pace:
    """Pauses between repairs that double, and an end to them. For one thread."""

    grace_s: float = GRACE_S  # that those who live are given to come back by themselves
    given_up: str = ""  # why, once there were enough repairs in a row
    _num_repairs: int = 0  # in a row
    _last_reason: str = ""
    _pause_s: float = FIRST_PAUSE_S
    _next_s: float = 0.0  # no repair begins before
    _well_s: float | None = None  # since when it serves
    _ill_s: float | None = None  # since when it does not

    def look(self, finding: Finding, now_s: float) -> Choice:
        """What a look at `now_s` leads to. Whoever repairs says so by `tried` once that is over."""
        if finding is Finding.UNKNOWN:
            return Choice.NOTHING
        if finding is Finding.WELL:
            return self._well(now_s)
        self._well_s = None
        if self._ill_s is None:
            self._ill_s = now_s
        if self.given_up or (finding is Finding.SILENT and now_s < self._ill_s + self.grace_s):
            return Choice.NOTHING
        if self._num_repairs >= MOST_REPAIRS:
            why = self._last_reason.partition("; ")[0]  # without the advice, which was followed
            self.given_up = f"gave up after {self._num_repairs} repairs in a row: {why}; run cluster up"
            return Choice.GIVE_UP
        return Choice.REPAIR if now_s >= self._next_s else Choice.NOTHING

    def tried(self, reason: str, now_s: float) -> None:
        """A repair is over. `reason`: why it failed, or what it was for."""
        self._num_repairs += 1
        self._last_reason = reason
        self._next_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, MOST_PAUSE_S)

    def _well(self, now_s: float) -> Choice:
        self._ill_s = None
        if self._well_s is None:
            self._well_s = now_s
        if self._num_repairs and now_s >= self._well_s + STEADY_S:
            self._num_repairs, self._pause_s, self._next_s, self.given_up = 0, FIRST_PAUSE_S, 0.0, ""
        return Choice.NOTHING

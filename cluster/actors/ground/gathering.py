"""Waiting for the machines of a cluster: what to say when, and when it is enough. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cluster.api.errors import UnreachableError

# Members of a former start come back by themselves within it; only then is a way to join told.
RETURN_S = 10.0
REMIND_S = 60.0


@dataclass(slots=True)
class Gathering:
    """Waits for `num_wanted` nodes, the head among them, for `wait_s` seconds from `start_s`."""

    num_wanted: int
    wait_s: float
    start_s: float
    num_expected: int = 0  # members of a former start, which may come back by themselves
    _seen: dict[str, None] = field(default_factory=dict)  # in the order in which they came
    _told_s: float | None = None

    def look(self, living: Iterable[str], now_s: float) -> list[str]:
        """What is new, for people: who came, and who left. UnreachableError once it took too long."""
        now = dict.fromkeys(living)
        notes = [f"{name} has left" for name in self._seen if name not in now]
        came = [name for name in now if name not in self._seen]
        self._seen = {name: None for name in (*self._seen, *came) if name in now}
        if self.num_wanted > 1:
            notes += [
                f"{name} is there ({at} of {self.num_wanted})" for at, name in enumerate(self._seen, 1) if name in came
            ]
        if not self.is_complete and now_s - self.start_s > self.wait_s:
            raise UnreachableError(
                f"nodes: {len(self._seen)} of {self.num_wanted} are there ({', '.join(self._seen)}) after "
                f"{self.wait_s:.0f} s; see what cluster join says on the others, or give a longer --wait, or fewer "
                "--nodes"
            )
        return notes

    @property
    def is_complete(self) -> bool:
        return len(self._seen) >= self.num_wanted

    @property
    def num_missing(self) -> int:
        return max(0, self.num_wanted - len(self._seen))

    def must_tell(self, now_s: float) -> bool:
        """Whether it is time to say how machines join, for the first time."""
        waited_s = now_s - self.start_s
        if self.is_complete or self._told_s is not None or (self.num_expected and waited_s < RETURN_S):
            return False
        self._told_s = now_s
        return True

    def must_remind(self, now_s: float) -> bool:
        """Whether it is time to say that it still waits."""
        if self.is_complete or self._told_s is None or now_s - self._told_s < REMIND_S:
            return False
        self._told_s = now_s
        return True

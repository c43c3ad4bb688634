"""Batch: many prompts for one cluster, as decisions: which to send now, what an answer means, what comes out. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from cluster.api.errors import CancelledError, CapacityError, ClusterError, UnreachableError
from cluster.client.completion import Outcome

SMALL_BATCH = 8  # as many are opened without asking how many slots there are
SPARE_SHARE = 8  # one request for every so many slots waits in the cluster, so that a free slot finds it
RETRY_S = 0.1  # after a refusal, unless a slot of ours comes free before
REFUSED_TIMEOUT_S = 600.0  # refused for so long, while nothing ends: the refusal becomes the prompt's error

Item = TypeVar("Item")
Report = Callable[[int, int], None]


def num_open_for(num_slots: int) -> int:
    """Requests to keep open so that `num_slots` stay busy: a few more than slots."""
    return num_slots + max(2, num_slots // SPARE_SHARE)


class Batch(Generic[Item]):
    """The prompts of one `generate()`, as items to send. One thread drives it.

    The driver sends what `to_send` returns and hands each answer to `settle`, until `is_done`. A request that
    the full queue refuses is sent again later, with fewer open; once the cluster is lost nothing more is sent.
    """

    def __init__(
        self,
        items: Iterable[Item | ClusterError],
        num_total: int | None,
        max_open: int,
        report: Report = lambda num_done, num_total: None,
    ) -> None:
        """`items` are taken when there is room for them; `num_total` is None where that is not known before.

        `report` gets the number of prompts done, and of all (of those taken so far, while not known).
        """
        self._items = iter(items)
        self._num_total = num_total
        self.max_open = self._room = max_open
        self._report = report
        self._num_taken = 0
        self._all_taken = False
        self._open: dict[int, Item] = {}  # by place in the batch
        self._refused: deque[tuple[int, Item]] = deque()
        self._outcomes: dict[int, Outcome] = {}
        self._retry_at_s = 0.0
        self._refused_since_s: float | None = None
        self._lost: UnreachableError | None = None

    @property
    def is_done(self) -> bool:
        """Nothing is open, and nothing more will be sent."""
        return not self._open and (self._lost is not None or (self._all_taken and not self._refused))

    def to_send(self, now_s: float) -> list[tuple[int, Item]]:
        """The requests to open now, each with its place in the batch."""
        found: list[tuple[int, Item]] = []
        while self._lost is None and len(self._open) < self._room and (one := self._next(now_s)) is not None:
            self._open[one[0]] = one[1]
            found.append(one)
        return found

    def wait_s(self, now_s: float) -> float | None:
        """How long to wait for an answer before `to_send` has more; None: until there is one."""
        has_room = len(self._open) < self._room
        return max(0.0, self._retry_at_s - now_s) if self._refused and has_room and self._lost is None else None

    def settle(self, place: int, outcome: Outcome, now_s: float) -> None:
        """The answer to the request of that place."""
        item = self._open.pop(place)
        if isinstance(outcome, CapacityError) and not self._gives_up(now_s):
            self._refused.append((place, item))
            self._room = max(1, len(self._open))
            self._retry_at_s = now_s + RETRY_S
            return
        if isinstance(outcome, UnreachableError):
            self._lost = self._lost or outcome
        else:  # a slot has come free
            self._refused_since_s, self._retry_at_s = None, now_s
            self._room = min(self._room + 1, self.max_open)
        self._finish(place, outcome)

    def results(self, return_errors: bool) -> list[Outcome]:
        """One for each prompt, in order. The error that ended the batch, else the first, is raised if not returned."""
        lost = self._lost or CancelledError("generate: the batch was left before this prompt; ask again")
        num_prompts = self._num_taken if self._num_total is None else self._num_total
        found = [self._outcomes.get(place, lost) for place in range(num_prompts)]
        errors = [outcome for outcome in found if isinstance(outcome, ClusterError)]
        if errors and not return_errors:
            error = self._lost or errors[0]
            error.completions = tuple(found)
            raise error
        return found

    def _next(self, now_s: float) -> tuple[int, Item] | None:
        if self._refused:
            return self._refused.popleft() if now_s >= self._retry_at_s else None
        for item in self._items:
            place = self._num_taken
            self._num_taken += 1
            if not isinstance(item, ClusterError):
                return place, item
            self._finish(place, item)
        self._all_taken = True
        return None

    def _gives_up(self, now_s: float) -> bool:
        self._refused_since_s = now_s if self._refused_since_s is None else self._refused_since_s
        return now_s - self._refused_since_s > REFUSED_TIMEOUT_S

    def _finish(self, place: int, outcome: Outcome) -> None:
        self._outcomes[place] = outcome
        self._report(len(self._outcomes), self._num_taken if self._num_total is None else self._num_total)

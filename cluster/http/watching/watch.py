"""Watch: the cluster each second, what it did of late, and who is to be told."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cluster.api.errors import ClusterError
from cluster.api.status import ClusterStatus, SlotStatus
from cluster.http.link import Link
from cluster.http.watching.changes import Change, changes

EVERY_S = 1.0
FRESH_S = 0.9  # a status so old is told without asking again
TIMEOUT_S = 3.0
NUM_MOMENTS = 120  # kept, one for each look
NUM_EVENTS = 100  # kept
MAX_WATCHERS = 64
_BACKLOG = 8  # of one watcher that does not take what it is told; then it misses some


@dataclass(frozen=True, slots=True)
class Moment:
    """One look at the cluster."""

    at: float  # Unix time
    tokens_per_s: float
    num_slots_used: int
    num_waiting: int


@dataclass(frozen=True, slots=True)
class Event:
    """A change, and when it was noticed."""

    at: float  # Unix time
    change: Change


@dataclass(frozen=True, slots=True)
class Seen:
    """The cluster at one moment."""

    status: ClusterStatus | None  # None while it does not answer
    slots: tuple[SlotStatus, ...] = ()  # of a look by the link, none


@dataclass(frozen=True, slots=True)
class Look:
    """What a watcher is told with each look: the events that are new with it."""

    seen: Seen
    events: tuple[Event, ...]


class Watch:
    """For one event loop. Stages are asked afresh while somebody watches; else the link's own looks have to do."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.moments: deque[Moment] = deque(maxlen=NUM_MOMENTS)
        self.events: deque[Event] = deque(maxlen=NUM_EVENTS)  # oldest first
        self._watchers: set[asyncio.Queue[Look]] = set()
        self._seen = Seen(None)
        self._known: ClusterStatus | None = None  # what was looked at last
        self._asked_s = -FRESH_S
        self._asking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> Seen:
        """The cluster now, no older than a second."""
        async with self._asking:  # of those who ask at once, one asks the cluster
            if time.monotonic() - self._asked_s >= FRESH_S:
                self._seen = await self._ask()
                self._asked_s = time.monotonic()
        return self._seen

    @contextmanager
    def watching(self) -> Iterator[asyncio.Queue[Look]]:
        """A queue of what is seen from now on. Who does not take from it misses looks."""
        queue: asyncio.Queue[Look] = asyncio.Queue(_BACKLOG)
        self._watchers.add(queue)
        try:
            yield queue
        finally:
            self._watchers.discard(queue)

    @property
    def is_full(self) -> bool:
        """Nobody else may watch."""
        return len(self._watchers) >= MAX_WATCHERS

    async def _ask(self) -> Seen:
        if self._link.status is None:
            return Seen(None)
        client = self._link.client
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return Seen(*await asyncio.gather(client.status(), client.slots()))
        except (ClusterError, TimeoutError):
            return Seen(None)

    async def _run(self) -> None:
        while True:
            self._take(await self.look() if self._watchers else Seen(self._link.status))
            await asyncio.sleep(EVERY_S)

    def _take(self, seen: Seen) -> None:
        status, now = seen.status, time.time()
        found = tuple(Event(now, change) for change in changes(self._known, status, self._link.reason))
        self.events.extend(found)
        self.moments.append(self._moment(now, status))
        self._known = status
        for queue in self._watchers:
            if not queue.full():
                queue.put_nowait(Look(seen, found))

    def _moment(self, now: float, status: ClusterStatus | None) -> Moment:
        if status is None:
            return Moment(now, 0.0, 0, 0)
        return Moment(now, self._tokens_per_s(status), status.num_slots_used, status.num_waiting)

    def _tokens_per_s(self, status: ClusterStatus) -> float:
        """Since the look before, on the coordinator's clock."""
        before = self._known
        if before is None or status.uptime_s <= before.uptime_s:  # the same look, or a coordinator that began anew
            return self.moments[-1].tokens_per_s if before is status and self.moments else 0.0
        return max(0, status.num_tokens - before.num_tokens) / (status.uptime_s - before.uptime_s)

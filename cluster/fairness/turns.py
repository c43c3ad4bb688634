"""Turns: whose text is next. One at a time, and first of all for whoever had the least of the time before."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """Start-time fair queueing (Goyal, Vin and Cheng, 1996), by the time that turns really took.

    A client that comes anew counts as one that has had as much as the client that was served last: it is next, but
    gets nothing for the time in which it did not ask. Lives on one event loop.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # by client, in order of arrival
        self._used_s: dict[str, float] = {}  # by client, where it is more than `_now_s`
        self._now_s = 0.0  # what the client whose turn it is had had when its turn began
        self._client: str | None = None  # whose turn it is
        self._began_s = 0.0  # on the loop's clock

    async def take(self, client: str) -> None:
        """Wait for a turn; `give_on` ends it."""
        if self._client is None:
            self._begin(client)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(future)
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():
                self.give_on()  # the turn came together with the cancellation
            raise

    def give_on(self) -> None:
        """The turn has ended; the next one begins."""
        assert self._client is not None, "nobody's turn can end"
        self._used_s[self._client] = self._now_s + asyncio.get_running_loop().time() - self._began_s
        self._client = None
        while self._waiting:
            client = min(self._waiting, key=self._tag)  # between equals, whoever has waited longest
            queue = self._waiting.pop(client)
            future = queue.popleft()
            if queue:
                self._waiting[client] = queue  # behind the others
            if not future.done():  # its client has not gone
                self._begin(client)
                future.set_result(None)
                return
        self._used_s.clear()  # nobody waits for anybody

    def _begin(self, client: str) -> None:
        self._client = client
        self._now_s = self._tag(client)
        self._began_s = asyncio.get_running_loop().time()
        self._used_s = {name: used_s for name, used_s in self._used_s.items() if used_s > self._now_s}

    def _tag(self, client: str) -> float:
        return max(self._used_s.get(client, 0.0), self._now_s)

"""From the engine's thread to streams on an event loop, with one wake-up for many events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class LoopMailbox:
    """Runs calls from other threads on `loop`. Calls that pile up before it wakes share one wake-up.

    A step of the engine posts an event to every stream; a wake-up for each would cost a system call each.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: deque[Callable[[], None]] = deque()
        self._is_waking = False

    def post(self, call: Callable[[], None]) -> None:
        """From any thread; never waits. Does nothing once the loop is closed."""
        self._calls.append(call)
        if self._is_waking:
            return
        self._is_waking = True
        try:
            self._loop.call_soon_threadsafe(self._run)
        except RuntimeError:  # the loop is closed: nobody listens any more
            self._calls.clear()

    def _run(self) -> None:
        self._is_waking = False  # first, so that a call that comes now wakes the loop again
        while self._calls:
            self._calls.popleft()()


class StreamInbox(Generic[Item]):
    """What the engine has sent to one stream. `put` is for any thread, `take_all` for the loop's."""

    def __init__(self, mailbox: LoopMailbox) -> None:
        self._mailbox = mailbox
        self._items: deque[Item] = deque()
        self._ready = asyncio.Event()

    def put(self, item: Item) -> None:
        self._items.append(item)
        self._mailbox.post(self._ready.set)

    async def take_all(self) -> list[Item]:
        """All items that have come since the last call, in order; at least one."""
        while not self._items:
            self._ready.clear()
            if not self._items:
                await self._ready.wait()
        taken = []
        while self._items:
            taken.append(self._items.popleft())
        return taken

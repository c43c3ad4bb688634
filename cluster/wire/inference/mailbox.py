"""From the engine's thread to streams on an event loop, with one wake-up for many events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")

# With so many items, any of them wakes a stream: a long text does not pile up here while its client could read it.
MAX_WAITING = 4096


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
    """What the engine has sent to one stream. `put` is for any thread, `take_all` for the loop's.

    wakes: which items wake the stream; up to MAX_WAITING others wait for one that does. None: all of them.
    """

    def __init__(self, mailbox: LoopMailbox, wakes: Callable[[Item], bool] | None = None) -> None:
        self._mailbox = mailbox
        self._wakes = wakes
        self._items: deque[Item] = deque()
        self._ready = asyncio.Event()

    def put(self, item: Item) -> None:
        self._items.append(item)
        if self._wakes is None or self._wakes(item) or len(self._items) >= MAX_WAITING:
            self._mailbox.post(self._ready.set)

    async def take_all(self) -> list[Item]:
        """All items that have come since the last call, in order; at least one."""
        taken: list[Item] = []
        while not taken:  # the call before may have taken the item that set the event
            await self._ready.wait()
            self._ready.clear()  # first, so that an item that comes now sets it again
            while self._items:
                taken.append(self._items.popleft())
        return taken

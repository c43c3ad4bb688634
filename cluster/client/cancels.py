"""Says to a cluster that no more is wanted of requests: a connection that just ends is one whose client may come back.

It is said where a stream is closed, and where it is dropped: in the middle of anything, where no lock may be taken and
nothing can be called. So others say it, a thread of the process, or the event loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import grpc

# How long a closed client, or the program's end, waits until it is said. The cluster that does not hear it computes on
# for some seconds.
END_S = 1.0
CALL_TIMEOUT_S = 5.0

Send = Callable[[list[bytes]], "grpc.Future[Any]"]  # makes the call, and does not wait for it
AioSend = Callable[[list[bytes]], Coroutine[Any, Any, None]]


class Cancels:
    """Of all clients of this process that use threads: one thread makes the calls of all."""

    def __init__(self) -> None:
        # Its `put` may interrupt itself, so that it can be called where an object is dropped.
        self._told: SimpleQueue[tuple[Send, list[bytes]] | threading.Event] = SimpleQueue()
        self._running: set[grpc.Future[Any]] = set()  # a call that nobody holds is cancelled
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Before something may be told."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cluster-cancels", daemon=True)
                self._thread.start()

    def tell(self, send: Send, tickets: list[bytes]) -> None:
        """Of these requests. Never waits, and takes no lock."""
        self._told.put((send, tickets))

    def flush(self) -> None:
        """Wait until what was told so far has been said, END_S at most."""
        with self._lock:
            if self._thread is None:
                return
        until_s = time.monotonic() + END_S
        are_made = threading.Event()
        self._told.put(are_made)
        are_made.wait(END_S)
        for call in tuple(self._running):
            with suppress(grpc.RpcError, grpc.FutureTimeoutError, grpc.FutureCancelledError):
                call.result(max(0.0, until_s - time.monotonic()))

    def _run(self) -> None:
        while True:
            told = self._told.get()
            if isinstance(told, threading.Event):
                told.set()
                continue
            send, tickets = told
            with suppress(Exception):  # the client was closed: its streams were told before that
                call = send(tickets)
                self._running.add(call)
                call.add_done_callback(self._running.discard)
            del told, send


CANCELS = Cancels()


class AioCancels:
    """Of one client for asyncio."""

    def __init__(self, send: AioSend) -> None:
        self._send = send
        self._running: set[asyncio.Task[None]] = set()

    def tell(self, loop: asyncio.AbstractEventLoop, tickets: list[bytes]) -> None:
        """Of these requests, whose stream is of `loop`. Never waits, and takes no lock."""
        with suppress(RuntimeError):  # the loop is closed, and with it the connection
            loop.call_soon_threadsafe(self._begin, tickets)

    async def flush(self) -> None:
        """Wait until what was told on this loop has been said, END_S at most."""
        await asyncio.sleep(0)  # what was told just now begins
        loop = asyncio.get_running_loop()
        running = [task for task in self._running if task.get_loop() is loop]
        if running:
            await asyncio.wait(running, timeout=END_S)

    def _begin(self, tickets: list[bytes]) -> None:
        task = asyncio.get_running_loop().create_task(self._say(tickets))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _say(self, tickets: list[bytes]) -> None:
        with suppress(Exception):  # the cluster is gone, or the client was closed: nobody waits for more
            await self._send(tickets)

"""A few threads for what clients ask: each client in its turn, and never all threads for one."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from cluster.fairness.queue import FairQueue


@dataclass(frozen=True, slots=True)
class _Work:
    key: int
    client: str
    call: Callable[[], Any]
    done: Future[Any]


class FairThreads:
    """Any thread submits. A client that submits very much waits for itself only."""

    def __init__(self, num_threads: int, name: str) -> None:
        """A client has half of the threads at most (rounded up)."""
        self._num_threads = num_threads
        self._max_each = (num_threads + 1) // 2
        self._threads = ThreadPoolExecutor(num_threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._keys = itertools.count()
        self._waiting: FairQueue[_Work] = FairQueue()
        self._running: Counter[str] = Counter()  # by client

    def submit(self, client: str, call: Callable[..., Any], *args: Any) -> Future[Any]:
        """The result of a call, once its turn has come. Cancelling it in time takes it out."""
        work = _Work(next(self._keys), client, lambda: call(*args), Future())
        with self._lock:
            self._waiting.add(work.key, client, work)
            self._start()
        return work.done

    def shutdown(self) -> None:
        """Ends the threads; what they have not begun is cancelled."""
        with self._lock:
            for work in self._waiting.clear():
                work.done.cancel()
        self._threads.shutdown()

    def _start(self) -> None:
        """Give the free threads what is due. With the lock."""
        while sum(self._running.values()) < self._num_threads:
            work = next(self._waiting.in_order(self._running, self._max_each), None)
            if work is None:
                return
            self._waiting.take(work.key)
            if work.done.set_running_or_notify_cancel():
                self._running[work.client] += 1
                self._threads.submit(self._run, work)

    def _run(self, work: _Work) -> None:
        try:
            result = work.call()
        except BaseException as error:
            work.done.set_exception(error)
        else:
            work.done.set_result(result)
        with self._lock:
            self._running[work.client] -= 1
            self._running += Counter()  # forgets those that have none
            self._start()

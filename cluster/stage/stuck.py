"""A step that does not end: a device that hangs, or a driver that waits for ever. Only a new process helps then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cluster.messages.stage import StageCosts

CHECK_S = 1.0
# More than a step may take in any case, and for each of its rows so many times what a lone row took when the stage was
# loaded. By reasoning: many rows together take less for each than one does, and rows far behind others some times more.
ALWAYS_S, TIMES = 120.0, 10.0


def most_s(costs: StageCosts, num_rows: int) -> float:
    """After so many seconds a step of so many rows will not end any more."""
    row_ms = max((took_ms for _, took_ms in costs.decode_ms), default=0.0)
    return ALWAYS_S + TIMES * num_rows * row_ms / 1e3


class StuckWatch:
    """Looks at the steps of one thread from another. Time in which the whole process stands still does not count."""

    def __init__(self, on_stuck: Callable[[float], None], check_s: float = CHECK_S) -> None:
        """`on_stuck(seconds)` is called in the watching thread, once for a step that takes too long."""
        self._on_stuck = on_stuck
        self._check_s = check_s
        self._limit_s: float | None = None  # of the step that is computed; None: none is, or it was told of
        self._passed_s = 0.0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stuck-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    @contextmanager
    def step(self, limit_s: float) -> Iterator[None]:
        """A step is computed, and may take so long."""
        with self._lock:
            self._limit_s, self._passed_s = limit_s, 0.0
        try:
            yield
        finally:
            with self._lock:
                self._limit_s = None

    def _run(self) -> None:
        while not self._stopping.wait(self._check_s):
            with self._lock:
                self._passed_s += self._check_s
                is_stuck = self._limit_s is not None and self._passed_s >= self._limit_s
                if is_stuck:
                    self._limit_s = None
            if is_stuck:
                self._on_stuck(self._passed_s)

"""Whether this process stood still: a debugger, a swap storm, a machine that was moved."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

BEAT_S = 0.5
STANDSTILL_S = 3.0  # a shorter one breaks no connection
REMEMBERED_S = 10.0  # connections that broke are noticed within this time after it


class Pulse:
    """Beats in a thread of its own. Gaps between the beats are standstills: the peers did not notice any."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last_beat_s = now()
        self._stood_still_s = 0.0
        self._ended_s = -REMEMBERED_S  # when the latest standstill ended
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        with self._lock:
            self._last_beat_s = self._now()  # whoever made it may have loaded a model since
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def beat(self) -> None:
        """The process runs now."""
        with self._lock:
            now_s = self._now()
            gap_s, self._last_beat_s = now_s - self._last_beat_s, now_s
            if gap_s >= STANDSTILL_S:
                self._stood_still_s, self._ended_s = gap_s, now_s

    def stood_still_s(self) -> float:
        """How long the standstill took that ended a moment ago; 0 if there was none."""
        self.beat()  # whoever asks may run before the thread does
        with self._lock:
            return self._stood_still_s if self._now() < self._ended_s + REMEMBERED_S else 0.0

    def _run(self) -> None:
        while not self._stopping.wait(BEAT_S):
            self.beat()

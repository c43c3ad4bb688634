"""A new epoch after a failure, by the coordinator itself, as long as all stages live and have their weights."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from cluster.api.errors import ClusterError

CHECK_S = 0.2
MOST_PAUSE_S = 5.0
STEADY_S = 1.0  # an epoch that lasted for so long was no failed attempt
HELD_S = 60.0  # whoever holds it back has wired the stages by then, or died

_log = logging.getLogger(__name__)


class Recovery:
    """Tries again and again, ever more seldom, while there is a failure; `hold` keeps it from that for a while."""

    def __init__(self, is_lost: Callable[[], bool], rewire: Callable[[], None]) -> None:
        """`rewire` begins a newer epoch, or raises ClusterError."""
        self._is_lost = is_lost
        self._rewire = rewire
        self._pause_s = CHECK_S
        self._tried_s = -STEADY_S
        self._held_until_s = 0.0
        self._attempt = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recovery", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; an attempt under way is not waited for."""
        self._stopping.set()

    def hold(self) -> None:
        """Leave the stages to the caller, until `release`, or for HELD_S. Waits for an attempt under way."""
        self._held_until_s = time.monotonic() + HELD_S
        with self._attempt:
            return

    def release(self) -> None:
        self._held_until_s = 0.0

    def _run(self) -> None:
        while not self._stopping.wait(CHECK_S):
            now_s = time.monotonic()
            if not self._is_lost():
                if now_s > self._tried_s + STEADY_S:
                    self._pause_s = CHECK_S
            elif now_s >= self._tried_s + self._pause_s:
                self._try()

    def _try(self) -> None:
        with self._attempt:
            if time.monotonic() < self._held_until_s:
                return
            try:
                self._rewire()
                _log.warning("the stages are wired anew")
            except ClusterError as error:
                _log.info("the stages cannot be wired anew: %s", error)
            except Exception:  # this thread has to outlive whatever it meets
                _log.exception("the stages cannot be wired anew")
            self._tried_s = time.monotonic()
            self._pause_s = min(2 * self._pause_s, MOST_PAUSE_S)

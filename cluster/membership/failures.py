"""How often one address has failed lately: what a stranger costs is bounded, in work and in lines of the log."""

from __future__ import annotations

import threading
from collections import OrderedDict

MAX_PER_MINUTE = 10
MAX_ADDRESSES = 1024
_WINDOW_S = 60.0


class Failures:
    """By address; threads may share it. Times are of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: OrderedDict[str, tuple[float, int]] = OrderedDict()  # when the window began, and how many since

    def is_over(self, address: str, now_s: float) -> bool:
        """Whether nothing is to be done for this address before its minute is over."""
        with self._lock:
            return self._count(address, now_s) >= MAX_PER_MINUTE

    def add(self, address: str, now_s: float) -> bool:
        """One more; whether it is still to be logged."""
        with self._lock:
            count = self._count(address, now_s)
            began_s = self._counted[address][0] if count else now_s
            self._counted[address] = (began_s, count + 1)
            self._counted.move_to_end(address)
            if len(self._counted) > MAX_ADDRESSES:
                self._counted.popitem(last=False)
            return count < MAX_PER_MINUTE

    def _count(self, address: str, now_s: float) -> int:
        began_s, count = self._counted.get(address, (now_s, 0))
        return count if now_s - began_s < _WINDOW_S else 0

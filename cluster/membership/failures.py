"""How often one address has failed lately: what a stranger costs is bounded, in work and in lines of the log."""

from __future__ import annotations

import threading
from collections import OrderedDict

MAX_PER_MINUTE = 10
MAX_LINES_PER_MINUTE = 100  # of the log, for all addresses together
MAX_ADDRESSES = 1024
_WINDOW_S = 60.0
_ALL = "all"


class Failures:
    """By address; threads may share it. Times are of one monotonic clock, in seconds.

    Addresses are not taken together by nets: whoever fails would keep out all others of the same one.
    """

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
            num_before = self._add(address, now_s)
            num_lines_before = self._add(_ALL, now_s)
            while len(self._counted) > MAX_ADDRESSES:
                self._counted.popitem(last=False)
            return num_before < MAX_PER_MINUTE and num_lines_before < MAX_LINES_PER_MINUTE

    def _add(self, name: str, now_s: float) -> int:
        """Count one more; how many there were in this minute."""
        count = self._count(name, now_s)
        began_s = self._counted[name][0] if count else now_s
        self._counted[name] = (began_s, count + 1)
        self._counted.move_to_end(name)
        return count

    def _count(self, name: str, now_s: float) -> int:
        began_s, count = self._counted.get(name, (now_s, 0))
        return count if now_s - began_s < _WINDOW_S else 0

"""Output: what a script prints, until somebody fetches it."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable

MAX_CHARS = 1 << 20  # of what nobody has fetched yet; the newest are kept

Show = Callable[[int, str], None]  # the rank, and what its script printed


class Output(io.TextIOBase):
    """Stands in for stdout and stderr of a process. Any thread may write."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[str] = []
        self._num_chars = 0
        self._lock = threading.Lock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._lock:
            self._parts.append(text)
            self._num_chars += len(text)
            if self._num_chars > 2 * MAX_CHARS:
                kept = "".join(self._parts)[-MAX_CHARS:]
                self._parts, self._num_chars = [kept], len(kept)
        return len(text)

    def fetch(self) -> str:
        """What came since the last time."""
        with self._lock:
            text = "".join(self._parts)
            self._parts, self._num_chars = [], 0
        return text

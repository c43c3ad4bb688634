"""Stop strings: text passes through until one of them is complete, and never shows any part of it."""

from __future__ import annotations


class StopStrings:
    """Holds back the shortest tail that may yet become a stop string, and cuts before the first one.

    The first is the one that is complete first (of several, the longest), however the text comes in pieces.
    """

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = stop
        self._held = ""
        self._matched: str | None = None

    @property
    def matched(self) -> str | None:
        """The stop string that is complete: no more text comes out."""
        return self._matched

    def push(self, text: str) -> str:
        """The text that is certain not to belong to a stop string, in order."""
        if self._matched is not None:
            return ""
        self._held += text
        found = [(at + len(stop), at, stop) for stop in self._stop if (at := self._held.find(stop)) >= 0]
        if not found:
            return self._take(len(self._held) - self._num_held())
        _, first, self._matched = min(found)
        return self._take(first)

    def flush(self) -> str:
        """What was held back in vain. The text is over."""
        return self._take(len(self._held)) if self._matched is None else ""

    def _take(self, num_chars: int) -> str:
        text, self._held = self._held[:num_chars], self._held[num_chars:]
        return text

    def _num_held(self) -> int:
        """Characters at the end that are the beginning of a stop string; the most, if several are."""
        longest = min(max(map(len, self._stop), default=1) - 1, len(self._held))
        for size in range(longest, 0, -1):
            if any(stop.startswith(self._held[-size:]) for stop in self._stop):
                return size
        return 0

"""What goes on while nothing else is printed: one moving line on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO

SHOWN_EVERY_S = 1.0  # on a terminal; more often would be seen in what a benchmark measures
QUIET_S = 8.0  # elsewhere nothing is silent for longer
MIN_ESTIMATED_S = 2.0  # the time left is told once so much has passed: before that it is a guess


class Activity:
    """A context manager around work of which `total` parts are known, or none (0).

    Shows `text`, the part that is worked on, how many of how many, and the time left at the pace so far. A thread of
    its own speaks, so the work may be a single long call. What is short shows nothing.
    """

    def __init__(self, text: str, total: int = 0, stream: TextIO | None = None) -> None:
        self._text = text
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._is_terminal = self._stream.isatty()
        self._part = ""
        self._num_begun = 0
        self._ended = threading.Event()
        self._begin_s = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="activity", daemon=True)

    def begin(self, part: str = "") -> None:
        """The next part begins, and the one before is done. `part` says which it is."""
        self._num_begun += 1
        self._part = part

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def line(self, passed_s: float) -> str:
        """What is shown once `passed_s` seconds have passed."""
        words = [self._text]
        if self._part:
            words.append(self._part)
        if self._total:
            words.append(f"{min(self._num_begun, self._total)} of {self._total}")
        num_done = self._num_begun - 1
        if self._total and 0 < num_done <= self._total and passed_s >= MIN_ESTIMATED_S:
            words.append(f"about {duration(passed_s * (self._total - num_done) / num_done)} left")
        else:
            words.append(f"for {duration(passed_s)}")
        return ", ".join(words)

    def _watch(self) -> None:
        every_s = SHOWN_EVERY_S if self._is_terminal else QUIET_S
        has_line = False
        while not self._ended.wait(every_s):
            line = self.line(time.monotonic() - self._begin_s)
            print(f"\r  {line}\x1b[K" if self._is_terminal else f"  {line}", end="", file=self._stream)
            print(end="" if self._is_terminal else "\n", file=self._stream, flush=True)
            has_line = True
        if has_line:
            clear_line(self._stream)


def clear_line(stream: TextIO) -> None:
    """Before something else is printed there: the moving line of an activity may stand on the terminal."""
    if stream.isatty():
        print("\r\x1b[K", end="", file=stream, flush=True)


def duration(seconds: float) -> str:
    """As a person would say it: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

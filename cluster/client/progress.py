"""The line on stderr that shows how far a batch is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from cluster.api.errors import UsageError

BAR_CELLS = 30
FIRST_SHOWN_S = 0.5  # a batch that is done by then shows nothing
SHOWN_EVERY_S = 0.1
Progress = bool | Callable[[int, int], None] | None


class BatchProgress:
    """A context manager around a batch; called with the numbers of prompts done and in all.

    `progress` True shows the line, False nothing, None shows it where `stream` is a terminal; a function is
    called instead.
    """

    def __init__(
        self, progress: Progress, stream: TextIO | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        if not (progress is None or isinstance(progress, bool) or callable(progress)):
            raise UsageError(f"progress: {progress!r} is not possible; give True, False, None or a function")
        self._stream = sys.stderr if stream is None else stream
        self._tell = progress if callable(progress) else None
        is_shown = self._stream.isatty() if progress is None else progress
        self._is_shown = is_shown is True
        self._now = now
        self._start_s = now()
        self._next_s = self._start_s if progress is True else self._start_s + FIRST_SHOWN_S
        self._has_line = False

    def __call__(self, num_done: int, num_total: int) -> None:
        if self._tell is not None:
            self._tell(num_done, num_total)
            return
        now_s = self._now()
        if self._is_shown and (now_s >= self._next_s or (self._has_line and num_done == num_total)):
            self._next_s = now_s + SHOWN_EVERY_S
            self._show(num_done, num_total, now_s - self._start_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._has_line:
            print(file=self._stream, flush=True)

    def _show(self, num_done: int, num_total: int, passed_s: float) -> None:
        bar = "#" * (BAR_CELLS * num_done // max(1, num_total))
        rate = num_done / passed_s if passed_s > 0 else 0.0
        text = f"\r  [{bar:.<{BAR_CELLS}}] {num_done}/{num_total} prompts  {rate:.1f}/s"
        print(f"{text}\x1b[K" if self._stream.isatty() else text, end="", file=self._stream, flush=True)
        self._has_line = True

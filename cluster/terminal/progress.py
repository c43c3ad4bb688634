"""Progress on stderr: moving bars on a terminal, a line per phase elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TextIO

from cluster.terminal.activity import QUIET_S, clear_line
from cluster.terminal.printable import printable

BAR_CELLS = 30


@dataclass(slots=True)
class ProgressLines:
    """Shows notes, and one bar per stage. Methods are called by whoever brings the cluster up."""

    stream: TextIO
    _num_bars: int = 0
    _phases: dict[int, tuple[str, float]] = field(default_factory=dict)  # what was told of each stage, and when

    def note(self, text: str) -> None:
        """One line that stays."""
        clear_line(self.stream)
        print(printable(text), file=self.stream, flush=True)
        self._num_bars = 0

    def bars(self, states: list[tuple[str, float]]) -> None:
        """Show (phase, fraction 0..1) of every stage, in order."""
        if not self.stream.isatty():
            self._lines(states)
            return
        if self._num_bars:
            print(f"\x1b[{self._num_bars}A", end="", file=self.stream)
        for stage, (phase, fraction) in enumerate(states):
            filled = round(BAR_CELLS * fraction)
            bar = "#" * filled + "." * (BAR_CELLS - filled)
            print(f"\x1b[2K  stage {stage}  [{bar}] {fraction:4.0%}  {phase}", file=self.stream)
        self.stream.flush()
        self._num_bars = len(states)

    def _lines(self, states: list[tuple[str, float]]) -> None:
        for stage, (phase, fraction) in enumerate(states):
            told, told_s = self._phases.get(stage, ("", 0.0))
            if told != phase or time.monotonic() - told_s >= QUIET_S:
                self._phases[stage] = (phase, time.monotonic())
                print(f"  stage {stage}: {phase} ({fraction:.0%})", file=self.stream, flush=True)

"""Progress on stderr: moving bars on a terminal, a line per phase elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TextIO

from cluster.terminal.activity import QUIET_S, clear_line
from cluster.terminal.printable import printable

BAR_CELLS = 30


class Bar(NamedTuple):
    """How far one stage is."""

    label: str  # such as "stage 1 on two"
    phase: str
    fraction: float  # 0..1 of this phase


@dataclass(slots=True)
class ProgressLines:
    """Shows notes, and one bar per stage. Methods are called by whoever brings the cluster up."""

    stream: TextIO
    _num_bars: int = 0
    _phases: dict[str, tuple[str, float]] = field(default_factory=dict)  # what was told of each stage, and when

    def note(self, text: str) -> None:
        """One line that stays."""
        clear_line(self.stream)
        print(printable(text), file=self.stream, flush=True)
        self._num_bars = 0

    def bars(self, states: Sequence[Bar]) -> None:
        """Show every stage, in order."""
        if not self.stream.isatty():
            self._lines(states)
            return
        if self._num_bars:
            print(f"\x1b[{self._num_bars}A", end="", file=self.stream)
        for state in states:
            filled = round(BAR_CELLS * state.fraction)
            bar = "#" * filled + "." * (BAR_CELLS - filled)
            line = printable(f"  {state.label}  [{bar}] {state.fraction:4.0%}  {state.phase}")
            print(f"\x1b[2K{line}", file=self.stream)
        self.stream.flush()
        self._num_bars = len(states)

    def _lines(self, states: Sequence[Bar]) -> None:
        for state in states:
            told, told_s = self._phases.get(state.label, ("", 0.0))
            if told != state.phase or time.monotonic() - told_s >= QUIET_S:
                self._phases[state.label] = (state.phase, time.monotonic())
                told_now = f"  {state.label}: {state.phase} ({state.fraction:.0%})"
                print(printable(told_now), file=self.stream, flush=True)

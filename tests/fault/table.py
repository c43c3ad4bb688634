"""The table of faults: what happened how often, how soon it was noticed, and what it cost."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

# `make faults` asks for more, and for a file.
NUM_RUNS = int(os.environ.get("FAULT_RUNS", "1"))
FILE_VARIABLE = "FAULT_TABLE"

_HEAD = (
    "| what | runs | noticed after, ms | longest pause, s | tokens computed again | broken invariants |",
    "|---|---|---|---|---|---|",
)


@dataclass(frozen=True)
class Incident:
    """One run of one fault, under streams."""

    pause_s: float  # the longest of all streams
    noticed_ms: float | None = None  # by the coordinator, or by clients that it was away; None: nobody looked
    num_replayed: int = 0
    num_broken: int = 0  # streams


@dataclass
class Table:
    """By what was done, in the order in which it was done first."""

    incidents: dict[str, list[Incident]] = field(default_factory=dict)

    def add(self, what: str, incident: Incident) -> None:
        self.incidents.setdefault(what, []).append(incident)

    def lines(self) -> list[str]:
        return [*_HEAD, *(_line(what, incidents) for what, incidents in self.incidents.items())]

    def page(self) -> str:
        """For the docs."""
        where = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
        head = (
            "# What faults cost",
            "",
            f"Written by `make faults` ({where}); [reliability](reliability.md) says what is promised. Ranges are",
            "those of all runs. Eight streams of the demo model run in each, and are checked afterwards.",
            "",
        )
        return "\n".join((*head, *self.lines())) + "\n"


def write_page(table: Table) -> None:
    """Where `make faults` asks for it."""
    path = os.environ.get(FILE_VARIABLE)
    if path and table.incidents:
        Path(path).write_text(table.page())


def _line(what: str, incidents: Sequence[Incident]) -> str:
    noticed = [one.noticed_ms for one in incidents if one.noticed_ms is not None]
    cells = (
        what,
        str(len(incidents)),
        _range(noticed, 0) if noticed else "",
        _range([one.pause_s for one in incidents], 2),
        str(round(statistics.median(one.num_replayed for one in incidents))),
        str(sum(one.num_broken for one in incidents)),
    )
    return f"| {' | '.join(cells)} |"


def _range(values: Sequence[float], num_digits: int) -> str:
    low, high = f"{min(values):.{num_digits}f}", f"{max(values):.{num_digits}f}"
    return low if low == high else f"{low} to {high}"

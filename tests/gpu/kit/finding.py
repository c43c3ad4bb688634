"""What was found, a line at a time: what a process has told stays, however it ends."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

Verdict = Literal["pass", "fail", "figure", "not run"]
Value = float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was compared, measured, or not to be had. `values` carry their units in their names."""

    what: str
    verdict: Verdict
    values: Mapping[str, Value] = field(default_factory=dict)
    why: str = ""


Tell = Callable[[Finding], None]


def judged(what: str, is_right: bool, why: str = "", **values: Value) -> Finding:
    """A comparison. `why` belongs to one that failed."""
    return Finding(what, "pass" if is_right else "fail", values, "" if is_right else why)


def figure(what: str, **values: Value) -> Finding:
    """A measurement."""
    return Finding(what, "figure", values)


def not_run(what: str, why: str) -> Finding:
    """What could not be tried."""
    return Finding(what, "not run", {}, why)


def append_finding(path: Path, found: Finding) -> None:
    """Behind those that are there."""
    with path.open("a", encoding="utf-8") as file:
        values = {name: _told(value) for name, value in found.values.items()}
        file.write(json.dumps(asdict(found) | {"values": values}, allow_nan=False) + "\n")


def _told(value: Value) -> Value:
    """JSON has no infinity, and nothing that is not a number."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def read_findings(path: Path) -> list[Finding]:
    """All whole lines: the process may have been ended within the last one."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [Finding(**json.loads(line)) for line in lines]

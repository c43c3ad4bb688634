"""How a field of a record becomes a flag: by its own name, unless people know it by others."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Spelling:
    """What the field's type does not say. Without `flags` the flag has the field's name.

    `help` may say the default itself; `more` is what else argparse is told.
    """

    flags: tuple[str, ...] = ()
    metavar: str | None = None
    help: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)


def add_flag(parser: argparse.ArgumentParser, name: str, spelling: Spelling, default: str, **kind: Any) -> None:
    """A flag that is None where it is not given. `default`: for people, "" where there is none to tell."""
    flags = spelling.flags or (f"--{name.replace('_', '-')}",)
    tells_default = not default or "(default" in spelling.help
    told = spelling.help if tells_default else f"{spelling.help} (default: {default})".strip()
    kind |= {"metavar": spelling.metavar} if spelling.metavar is not None else {}
    parser.add_argument(*flags, dest=name, default=None, help=told, **{**kind, **spelling.more})

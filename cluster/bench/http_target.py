"""Where the measured cluster answers HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """Where the two ways lead."""

    base: str  # of the HTTP server
    pid: int  # its process
    address: str  # of the coordinator
    secret: Path  # a file
    vocab_size: int

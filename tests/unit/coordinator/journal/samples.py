"""Requests, events, and a journal to put them into."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.api.results import FinishReason, TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.coordinator.journal.asked import Asked
from cluster.coordinator.journal.journal import Journal
from cluster.coordinator.journal.kept import Kept

IDENTITY = "model ab12, protocol 7"
LAST = TokenEvent(None, "", finish_reason=FinishReason.STOP)


def asked(number: int, **changes: Any) -> Asked:
    """The request of this number; no two have the same ticket."""
    given: dict[str, Any] = {"token_ids": (1, 2, number), "params": SamplingParams(seed=number), "client": "ipv4:a:1"}
    return Asked(**{"ticket": number.to_bytes(16, "big"), **given, **changes})


def token(number: int) -> TokenEvent:
    """The event of this number, with nothing but its token."""
    return TokenEvent(number, f"w\u00f6rd {number}", -0.5 * number)


@contextmanager
def opened(path: Path, **options: Any) -> Iterator[tuple[Journal, list[Kept]]]:
    """The journal at `path`, and what was open in it; closed behind the block."""
    journal = Journal(path, options.pop("identity", IDENTITY), **options)
    kept = journal.open()
    try:
        yield journal, kept
    finally:
        journal.close()


def kept_at(path: Path, identity: str = IDENTITY) -> list[Kept]:
    """What a new coordinator finds."""
    with opened(path, identity=identity) as (_, kept):
        return kept


def tell(journal: Journal, number: int, *events: TokenEvent) -> None:
    """The request of this number is told these."""
    journal.tell([(asked(number).ticket, event) for event in events])


class Disk:
    """Stands for the system's call that writes: it counts, and can be made to fail with half of it written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.num_writes = 0
        self.error: OSError | None = None
        self._write = os.write
        monkeypatch.setattr("cluster.coordinator.journal.file.os.write", self)

    def __call__(self, descriptor: int, data: bytes) -> int:
        self.num_writes += 1
        if self.error is not None:
            self._write(descriptor, data[: len(data) // 2])
            raise self.error
        return self._write(descriptor, data)

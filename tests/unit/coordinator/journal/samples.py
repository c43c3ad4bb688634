"""Requests, events, and a journal to put them into."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.api.results import FinishReason, TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.coordinator.journal.asked import Asked
from cluster.coordinator.journal.journal import Journal
from cluster.coordinator.journal.kept import Kept

IDENTITY = "model ab12, protocol 7"
WAIT_S = 30
LAST = TokenEvent(None, "", finish_reason=FinishReason.STOP)


def asked(number: int, **changes: Any) -> Asked:
    """The request of this number; no two have the same ticket."""
    given: dict[str, Any] = {"token_ids": (1, 2, number), "params": SamplingParams(seed=number), "client": "ipv4:a:1"}
    return Asked(**{"ticket": number.to_bytes(16, "big"), **given, **changes})


def token(number: int) -> TokenEvent:
    """The event of this number, with nothing but its token."""
    return TokenEvent(number, f"w\u00f6rd {number}", -0.5 * number)


def nothing() -> None:
    """Nothing follows."""


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


def settle(journal: Journal) -> None:
    """Returns once all that was given before has been followed."""
    followed = threading.Event()
    journal.tell(b"", token(0), followed.set)
    assert followed.wait(WAIT_S)


class Disk:
    """A sync that counts, and can be held back or made to fail."""

    def __init__(self) -> None:
        self.num_syncs = 0
        self.error: OSError | None = None
        self.reached = threading.Event()
        self.let_go = threading.Event()
        self.let_go.set()

    def __call__(self, descriptor: int) -> None:
        self.num_syncs += 1
        self.reached.set()
        assert self.let_go.wait(WAIT_S)
        if self.error is not None:
            raise self.error
        os.fdatasync(descriptor)

    def hold(self) -> None:
        """From now on; the next sync sets `reached`."""
        self.reached.clear()
        self.let_go.clear()


def noting(notes: list[object], note: object) -> Callable[[], None]:
    """Notes that it was called."""
    return lambda: notes.append(note)

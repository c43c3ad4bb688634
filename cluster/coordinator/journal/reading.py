"""What an earlier coordinator left in the journal. Every byte of it may be torn, damaged, or somebody's attempt."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from cluster.api.errors import CapacityError, ClusterError, HandshakeError, UsageError
from cluster.api.results import TokenEvent
from cluster.coordinator.journal.asked import Asked
from cluster.coordinator.journal.columns import plain_events, serials_in
from cluster.coordinator.journal.frames import Frames
from cluster.coordinator.journal.kept import Kept
from cluster.coordinator.journal.limits import MAX_EVENTS, MAX_FILE_BYTES, MAX_OPEN, READ_BYTES
from cluster.coordinator.journal.records import VERSION, asked_in, check_ticket, events_in, record_in
from cluster.node.private import READ_FLAGS, check_file, check_folder
from cluster.wire.limits import MAX_COUNT, check_range
from protos import journal_pb2

_log = logging.getLogger(__name__)


def read_kept(path: Path, identity: str) -> list[Kept]:
    """The requests that are open in the journal at `path`, in the order in which they came.

    What lies behind a torn or damaged record does not count. FileNotFoundError where there is no file; ClusterError
    where it is not ours, or was written for another identity; OSError as reading raises it.
    """
    check_folder(path.parent, others_may_look=True)
    with os.fdopen(os.open(path, READ_FLAGS), "rb", READ_BYTES) as file:
        status = os.fstat(file.fileno())
        check_file(path, status)
        if status.st_size > MAX_FILE_BYTES:
            raise CapacityError(f"{path}: {status.st_size} bytes; no more than {MAX_FILE_BYTES} are read")
        survey = _survey(path, file, identity)
        found = _taken_up(file, survey)
    if found.position < status.st_size:
        _log.warning("%s: damaged at byte %d of %d; what follows is lost", path, found.position, status.st_size)
    return [Kept(asked, tuple(found.events[serial]), found.tries[serial]) for serial, asked in found.asked.items()]


@dataclass(slots=True)
class _Survey:
    """Which requests are open at the end. Their events are looked at later: most are of requests that have ended."""

    position: int = 0  # behind the last record that says what it may say
    newest: int = 0  # serial
    tickets: dict[int, bytes] = field(default_factory=dict)  # of open requests, by serial
    serials: dict[bytes, int] = field(default_factory=dict)

    def add(self, record: journal_pb2.JournalRecord) -> None:
        """UsageError for a record that cannot stand here."""
        match record.WhichOneof("kind"):
            case "begin":
                self._begin(record.begin.serial, check_ticket(record.begin.ticket))
            case "tokens":
                self._check_open(*serials_in(record.tokens))
            case "events":
                self._check_open(record.events.serial)
            case "again":
                self._check_open(record.again.serial)
            case "end":
                self._check_open(record.end.serial)
                del self.serials[self.tickets.pop(record.end.serial)]
            case _:
                raise UsageError("record: of no kind that can stand here")

    def _begin(self, serial: int, ticket: bytes) -> None:
        self.newest = check_range("serial", serial, self.newest + 1, MAX_COUNT)
        check_range("open requests", len(self.tickets) + 1, 1, MAX_OPEN)
        if ticket in self.serials:
            raise UsageError("ticket: begun again before it ended")
        self.tickets[serial], self.serials[ticket] = ticket, serial

    def _check_open(self, *serials: int) -> None:
        if not self.tickets.keys() >= set(serials):
            raise UsageError("serial: of no open request")


@dataclass(slots=True)
class _Found:
    """The open requests, by serial, as far as they could be read."""

    position: int = 0
    asked: dict[int, Asked] = field(default_factory=dict)
    events: dict[int, list[TokenEvent]] = field(default_factory=dict)
    tries: dict[int, int] = field(default_factory=dict)  # without an event since


def _survey(path: Path, file: BinaryIO, identity: str) -> _Survey:
    frames, survey = Frames(file), _Survey()
    _check_header(path, next(frames, b""), identity)
    survey.position = frames.position
    with suppress(UsageError):
        for data in frames:
            survey.add(record_in(data))
            survey.position = frames.position
    return survey


def _check_header(path: Path, data: bytes, identity: str) -> None:
    header = record_in(data).header
    if header.version != VERSION:
        raise HandshakeError(f"{path}: no journal of this version; the requests in it are lost")
    if header.identity != identity:
        raise HandshakeError(
            f"{path}: it is of {header.identity[:100]!a}, and {identity[:100]!a} is served; the requests in it are lost"
        )


def _taken_up(file: BinaryIO, survey: _Survey) -> _Found:
    frames, found, num_events = Frames(file), _Found(), 0
    next(frames)
    found.position = frames.position
    with suppress(ClusterError):
        while found.position < survey.position:
            record = record_in(next(frames, b""))
            if record.begin.serial in survey.tickets:
                found.asked[record.begin.serial] = asked_in(record.begin)
                found.events[record.begin.serial] = []
                found.tries[record.begin.serial] = 0
            if (tried := record.again.serial) in survey.tickets:
                found.tries[tried] += 1
            events = list(_events_in(record, survey.tickets.keys()))
            num_events = check_range("events", num_events + len(events), 0, MAX_EVENTS)
            for serial, event in events:
                found.events[serial].append(event)
                found.tries[serial] = 0
            found.position = frames.position
    return found


def _events_in(record: journal_pb2.JournalRecord, serials: Set[int]) -> Iterator[tuple[int, TokenEvent]]:
    """Of these requests. UsageError names what is out of bounds."""
    yield from plain_events(record.tokens, serials)
    if record.events.serial in serials:
        for event in events_in(record.events):
            yield record.events.serial, event

"""Ledger: the journal's file as it is written, and which requests are open in it."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cluster.api.errors import CapacityError, ClusterError, HandshakeError
from cluster.api.results import TokenEvent
from cluster.coordinator.journal.asked import Asked
from cluster.coordinator.journal.columns import Columns, is_plain
from cluster.coordinator.journal.copy import Copy
from cluster.coordinator.journal.file import JournalFile
from cluster.coordinator.journal.frames import frame_of
from cluster.coordinator.journal.kept import Kept
from cluster.coordinator.journal.limits import COLUMN_TOKENS, COPY_BYTES, MAX_FILE_BYTES, MAX_OPEN
from cluster.coordinator.journal.records import begin_record, end_record, event_record, header_record

_log = logging.getLogger(__name__)

Then = Callable[[], None]
# The ticket of a request; what it asks, or is told; and what is to follow once that is on disk.
Entry = tuple[bytes, Asked | TokenEvent | ClusterError, Then]


class Ledger:
    """For one thread at a time. An error of `write` or `tidy` may have left half of something: `abandon` it."""

    def __init__(self, path: Path, identity: str, max_bytes: int, sync: Callable[[int], None]) -> None:
        self._path = path
        self._identity = identity
        self._max_bytes = min(max_bytes, MAX_FILE_BYTES // 2)
        self._sync = sync
        self._file: JournalFile | None = None
        self._live_bytes = 0  # of the file as it was begun: nothing but what was open
        self._num_written = 0  # bytes, with the last write
        self._copy: Copy | None = None
        self._serials: dict[bytes, int] = {}  # of open requests, by ticket
        self._begins: dict[int, int] = {}  # by serial: a record begins at this byte, and the request not before it
        self._new_serials = itertools.count(1)
        self._columns = Columns()

    @property
    def is_written(self) -> bool:
        """False before `start`, and after `abandon` and `close`."""
        return self._file is not None

    @property
    def is_copying(self) -> bool:
        """Whether `tidy` has more to do."""
        return self._copy is not None

    def start(self, kept: Sequence[Kept]) -> None:
        """A new file, in which these requests are open, takes the place of any other.

        ClusterError where others may write into the folder; OSError as the disk gives it. Then nothing has changed.
        """
        assert self._file is None, "it is written already"
        file = self._new_file()
        try:
            for one in kept:
                entries: list[Entry] = [(one.asked.ticket, event, _nothing) for event in one.events]
                file.add(self._encoded([(one.asked.ticket, one.asked, _nothing), *entries]))
            file.put_in_place()
        except BaseException:
            self._forget()
            file.remove()
            raise
        self._file, self._live_bytes = file, file.size_bytes

    def write(self, entries: Iterable[Entry]) -> None:
        """They are on disk when this returns. What is told of a request that is not open here is not for us.

        CapacityError where too much is open; OSError as the disk gives it.
        """
        assert self._file is not None, "it was not started"
        data = self._encoded(entries)
        self._num_written = len(data)
        if not data:
            return
        if self._file.size_bytes + len(data) > MAX_FILE_BYTES:
            raise CapacityError(f"{self._path}: more is open than {MAX_FILE_BYTES} bytes hold")
        self._file.add(data)
        self._file.sync()

    def tidy(self) -> None:
        """Part of the work that keeps the file small; most of the time there is none.

        HandshakeError where another coordinator has its own file in this place; others as for `Copy.advance`.
        """
        assert self._file is not None, "it was not started"
        if self._copy is None:
            if self._file.size_bytes <= max(self._max_bytes, 2 * self._live_bytes):
                return
            self._check_place(self._file)
            begin = min(self._begins.values(), default=self._file.size_bytes)
            self._copy = Copy(self._path, self._file, self._new_file(), begin)
        # By more than is added meanwhile, or it would never end.
        if self._copy.advance(self._begins.keys(), max(COPY_BYTES, 2 * self._num_written)):
            self._check_place(self._file)
            self._copy.new.put_in_place()
            self._copy.close()
            self._file.close()
            self._file, self._copy = self._copy.new, None
            self._live_bytes = self._file.size_bytes
            self._begins = dict.fromkeys(self._begins, 0)

    def abandon(self) -> None:
        """Take the file away: it no longer has all that is told, and nobody must go on from it."""
        self._end_copy()
        if self._file is not None:
            self._file.remove()
            self._file = None
        self._forget()

    def close(self) -> None:
        """The file stays."""
        self._end_copy()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _new_file(self) -> JournalFile:
        """With its header, beside its place."""
        file = JournalFile(self._path, self._sync)
        try:
            file.add(frame_of(header_record(self._identity)))
        except BaseException:
            file.remove()
            raise
        return file

    def _encoded(self, entries: Iterable[Entry]) -> bytes:
        """What to add to the file for them."""
        frames: list[bytes] = []
        serials, columns = self._serials, self._columns
        for ticket, said, _ in entries:
            if isinstance(said, Asked):
                self._end(ticket, frames)
                self._begin(said, frames)
                continue
            serial = serials.get(ticket)
            if serial is None:
                continue
            if not isinstance(said, TokenEvent) or said.finish_reason is not None:
                self._end(ticket, frames)
            elif is_plain(said):
                columns.add(serial, said)
                if len(columns) >= COLUMN_TOKENS:
                    self._flush(frames)
            else:
                self._tell(ticket, said, frames)
        self._flush(frames)
        return b"".join(frames)

    def _begin(self, asked: Asked, frames: list[bytes]) -> None:
        try:
            if len(self._serials) >= MAX_OPEN:
                raise CapacityError(f"requests: {MAX_OPEN} are open in it")
            serial = next(self._new_serials)
            self._add(begin_record(serial, asked), frames)
        except ClusterError as error:
            _warn_of_one(error)
            return
        self._serials[asked.ticket] = serial
        self._begins[serial] = 0 if self._file is None else self._file.size_bytes

    def _tell(self, ticket: bytes, event: TokenEvent, frames: list[bytes]) -> None:
        try:
            self._add(event_record(self._serials[ticket], event), frames)
        except ClusterError as error:
            _warn_of_one(error)
            self._end(ticket, frames)

    def _end(self, ticket: bytes, frames: list[bytes]) -> None:
        """Of a request that is not open here there is nothing to end."""
        serial = self._serials.pop(ticket, None)
        if serial is not None:
            del self._begins[serial]
            self._add(end_record(serial), frames)

    def _add(self, record: bytes, frames: list[bytes]) -> None:
        """Behind the tokens that came before it. UsageError for one that is too long."""
        frame = frame_of(record)
        self._flush(frames)
        frames.append(frame)

    def _flush(self, frames: list[bytes]) -> None:
        if self._columns:
            frames.append(frame_of(self._columns.take()))

    def _check_place(self, file: JournalFile) -> None:
        if not file.is_in_place():
            raise HandshakeError(f"{self._path}: taken away, or another coordinator writes there")

    def _end_copy(self) -> None:
        if self._copy is not None:
            self._copy.close()
            self._copy.new.remove()
            self._copy = None

    def _forget(self) -> None:
        self._serials.clear()
        self._begins.clear()
        self._columns.clear()


def _warn_of_one(error: ClusterError) -> None:
    _log.warning("a request cannot be taken up again after a crash: %s", error)


def _nothing() -> None:
    """What follows for those that were told long ago."""

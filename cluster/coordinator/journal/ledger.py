"""Ledger: the journal's file as it is written, and which requests are open in it."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from pathlib import Path

from cluster.api.errors import CapacityError, ClusterError, HandshakeError
from cluster.api.results import TokenEvent
from cluster.coordinator.journal.columns import Columns, is_plain
from cluster.coordinator.journal.copy import Copy
from cluster.coordinator.journal.file import JournalFile
from cluster.coordinator.journal.frames import frame_of
from cluster.coordinator.journal.kept import Kept
from cluster.coordinator.journal.limits import COLUMN_TOKENS, COPY_BYTES, MAX_FILE_BYTES, MAX_OPEN
from cluster.coordinator.journal.records import (
    begin_message,
    begin_record,
    end_record,
    event_record,
    header_record,
    try_record,
)
from protos import journal_pb2

_log = logging.getLogger(__name__)


class Ledger:
    """For one thread at a time. What a method was given is in the file when it returns.

    `begin`, `tell`, `try_again` and `end` are for a file that is written. Their errors, CapacityError where too much is
    open, HandshakeError where another coordinator has its own file in this place, OSError as the disk gives it, and
    those of `Copy.advance`, may leave half of something: `abandon` it.
    """

    def __init__(self, path: Path, identity: str, max_bytes: int) -> None:
        self._path = path
        self._identity = identity
        self._max_bytes = min(max_bytes, MAX_FILE_BYTES // 2)
        self._file: JournalFile | None = None
        self._live_bytes = 0  # of the file as it was begun: nothing but what was open
        self._copy: Copy | None = None
        self._num_added = 0  # bytes, since the copy last went on
        self._serials: dict[bytes, int] = {}  # of open requests, by ticket
        self._begins: dict[int, int] = {}  # by serial: a record begins at this byte, and the request not before it
        self._new_serials = itertools.count(1)
        self._columns = Columns()
        self._frames: list[bytes] = []  # to be written, behind which come the rows of `_columns`

    @property
    def is_written(self) -> bool:
        """False before `start`, and after `abandon` and `close`."""
        return self._file is not None

    @property
    def is_copying(self) -> bool:
        """Whether what is open is on its way to a new file."""
        return self._copy is not None

    def start(self, kept: Sequence[Kept]) -> None:
        """A new file, in which these requests are open, takes the place of any other.

        ClusterError where others may write into the folder; OSError as the disk gives it. Then nothing has changed.
        """
        assert self._file is None, "it is written already"
        file = self._new_file()
        try:
            for one in kept:
                self._begin(begin_message(one.asked), 0)
                self._tell([(one.asked.ticket, event) for event in one.events])
                for _ in range(one.num_tries):
                    self._try(one.asked.ticket)
                file.add(self._take())
            file.put_in_place()
        except BaseException:
            self._forget()
            file.remove()
            raise
        self._file, self._live_bytes = file, file.size_bytes

    def begin(self, message: journal_pb2.JournalBegin) -> None:
        """One that is open with the same ticket ends. One too many, or that is too long to be read, is left out."""
        assert self._file is not None, "it was not started"
        self._end(message.ticket)
        self._begin(message, self._file.size_bytes)
        self._write(self._file)

    def tell(self, told: Sequence[tuple[bytes, TokenEvent]]) -> None:
        """Events of requests that are not open here are left out, and last ones. The copy goes on, if there is one."""
        assert self._file is not None, "it was not started"
        self._tell(told)
        self._write(self._file)
        self._tidy(self._file)

    def try_again(self, ticket: bytes) -> None:
        """Computing it on begins. Of a request that is not open here nothing is written."""
        assert self._file is not None, "it was not started"
        self._try(ticket)
        self._write(self._file)

    def end(self, ticket: bytes) -> None:
        """Of a request that is not open here there is nothing to end. The copy goes on, if there is one."""
        assert self._file is not None, "it was not started"
        self._end(ticket)
        self._write(self._file)
        self._tidy(self._file)

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
        file = JournalFile(self._path)
        try:
            file.add(frame_of(header_record(self._identity)))
        except BaseException:
            file.remove()
            raise
        return file

    def _begin(self, message: journal_pb2.JournalBegin, position: int) -> None:
        """`position`: of a record that it does not stand before."""
        try:
            if len(self._serials) >= MAX_OPEN:
                raise CapacityError(f"requests: {MAX_OPEN} are open in it")
            serial = next(self._new_serials)
            self._add(begin_record(serial, message))
        except ClusterError as error:
            warn_of_one(error)
            return
        self._serials[message.ticket] = serial
        self._begins[serial] = position

    def _tell(self, told: Sequence[tuple[bytes, TokenEvent]]) -> None:
        for ticket, event in told:
            serial = self._serials.get(ticket)
            if serial is None or event.finish_reason is not None:
                continue
            if is_plain(event):
                self._columns.add(serial, event)
                if len(self._columns) >= COLUMN_TOKENS:
                    self._flush()
                continue
            try:
                self._add(event_record(serial, event))
            except ClusterError as error:
                warn_of_one(error)
                self._end(ticket)

    def _try(self, ticket: bytes) -> None:
        serial = self._serials.get(ticket)
        if serial is not None:
            self._add(try_record(serial))

    def _end(self, ticket: bytes) -> None:
        serial = self._serials.pop(ticket, None)
        if serial is not None:
            del self._begins[serial]
            self._add(end_record(serial))

    def _add(self, record: bytes) -> None:
        """Behind the tokens that came before it. UsageError for one that is too long."""
        frame = frame_of(record)
        self._flush()
        self._frames.append(frame)

    def _flush(self) -> None:
        if self._columns:
            self._frames.append(frame_of(self._columns.take()))

    def _take(self) -> bytes:
        """What is to be written; then there is nothing."""
        self._flush()
        data = b"".join(self._frames)
        self._frames.clear()
        return data

    def _write(self, file: JournalFile) -> None:
        data = self._take()
        if not data:
            return
        if file.size_bytes + len(data) > MAX_FILE_BYTES:
            raise CapacityError(f"{self._path}: more is open than {MAX_FILE_BYTES} bytes hold")
        file.add(data)
        self._num_added += len(data)

    def _tidy(self, file: JournalFile) -> None:
        """Part of the work that keeps the file small; most of the time there is none."""
        if self._copy is None:
            if file.size_bytes <= max(self._max_bytes, 2 * self._live_bytes):
                return
            self._check_place(file)
            begin = min(self._begins.values(), default=file.size_bytes)
            self._copy, self._num_added = Copy(self._path, file, self._new_file(), begin), 0
            return
        # By more than is added meanwhile, or it would never end.
        num_bytes = max(COPY_BYTES, 2 * self._num_added)
        self._num_added = 0
        if self._copy.advance(self._begins.keys(), num_bytes):
            self._check_place(file)
            self._copy.new.put_in_place()
            self._copy.close()
            file.close()
            self._file, self._copy = self._copy.new, None
            self._live_bytes = self._file.size_bytes
            self._begins = dict.fromkeys(self._begins, 0)

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
        self._frames.clear()


def warn_of_one(error: Exception) -> None:
    """The others are not concerned."""
    _log.warning("a request cannot be taken up again after a crash: %s", error)

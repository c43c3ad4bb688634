"""Copy: what is still open of a file, moved to a new one a little at a time, while the old one is still added to.

All at once, every stream would wait until a whole file is read.
"""

from __future__ import annotations

import os
from collections.abc import Set
from pathlib import Path

from cluster.api.errors import ClusterError
from cluster.coordinator.journal.columns import Columns
from cluster.coordinator.journal.file import JournalFile
from cluster.coordinator.journal.frames import Frames, frame_of
from cluster.coordinator.journal.limits import COLUMN_TOKENS, READ_BYTES
from cluster.coordinator.journal.records import record_in
from cluster.node.private import READ_FLAGS
from protos import journal_pb2


class Copy:
    """Of `old`, which lies at `path`, to `new`, which has its header. Both are added to by one thread at a time."""

    def __init__(self, path: Path, old: JournalFile, new: JournalFile, begin: int) -> None:
        """Nothing of what is open stands before byte `begin`, where a record does. OSError as opening raises it."""
        self.new = new
        self._old = old
        self._file = os.fdopen(os.open(path, READ_FLAGS), "rb", READ_BYTES)
        self._frames = Frames(self._file, begin)
        self._taken: set[int] = set()  # serials of requests that were open as the copy came by, and have not ended
        self._columns = Columns()

    def advance(self, still_open: Set[int], num_bytes: int) -> bool:
        """Go on by about so many bytes of the old file. True once the new one has all that is open.

        ClusterError where the old one is damaged; OSError as the disk gives it.
        """
        until = min(self._old.size_bytes, self._frames.position + num_bytes)
        records: list[bytes] = []
        while self._frames.position < until:
            data = next(self._frames, None)
            if data is None:
                raise ClusterError(f"byte {self._frames.position} of the old file: damaged; it cannot be copied")
            self._pass(data, still_open, records)
        self._flush(records)
        self.new.add(b"".join(map(frame_of, records)))
        return self._frames.position == self._old.size_bytes

    def close(self) -> None:
        """The new file stays, wherever it is."""
        self._file.close()

    def _pass(self, data: bytes, still_open: Set[int], records: list[bytes]) -> None:
        record = record_in(data)
        match record.WhichOneof("kind"):
            case "tokens":
                self._pass_tokens(record.tokens, records)
            case "begin" if record.begin.serial in still_open:
                self._taken.add(record.begin.serial)
                self._keep(data, records)
            case "events" if record.events.serial in self._taken:
                self._keep(data, records)
            case "again" if record.again.serial in self._taken:
                self._keep(data, records)
            case "end" if record.end.serial in self._taken:
                self._taken.remove(record.end.serial)
                self._keep(data, records)

    def _pass_tokens(self, tokens: journal_pb2.JournalTokens, records: list[bytes]) -> None:
        self._columns.add_those(tokens, self._taken)
        if len(self._columns) >= COLUMN_TOKENS:
            self._flush(records)

    def _keep(self, data: bytes, records: list[bytes]) -> None:
        """As it is, behind the tokens that come before it."""
        self._flush(records)
        records.append(data)

    def _flush(self, records: list[bytes]) -> None:
        if self._columns:
            records.append(self._columns.take())

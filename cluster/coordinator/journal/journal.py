"""Journal: what is asked and told goes to disk, and only then to whoever waits for it.

A token may be seen by a client once its `then` is called: from there on a new coordinator would know of it, even if
the power had failed. One thread writes all that has come together, with one wait for the disk.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import Empty, SimpleQueue

from cluster.api.errors import ClusterError, HandshakeError
from cluster.api.results import TokenEvent
from cluster.coordinator.journal.asked import Asked
from cluster.coordinator.journal.kept import Kept
from cluster.coordinator.journal.ledger import Entry, Ledger, Then
from cluster.coordinator.journal.limits import MAX_BYTES, RETRY_S
from cluster.coordinator.journal.reading import read_kept

_log = logging.getLogger(__name__)


class Journal:
    """The requests for text that are open, in the file at `path`, whose folder is there and ours.

    Where the disk fails, the file is taken away, and requests go on as if there were no journal; those that begin once
    it can be written again are in it again.
    """

    def __init__(
        self, path: Path, identity: str, *, max_bytes: int = MAX_BYTES, sync: Callable[[int], None] = os.fdatasync
    ) -> None:
        """`identity` is of model and version: what another one wrote is not taken up.

        `max_bytes`: a longer file is begun anew with what is open, unless that alone is half of it. `sync`: makes what
        was written to a descriptor outlive a power failure.
        """
        self._path = path
        self._identity = identity
        self._ledger = Ledger(path, identity, max_bytes, sync)
        self._entries: SimpleQueue[Entry] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._retry_at_s = math.inf  # time to try again to write, where we could not
        self._is_closing = False
        self._is_ended = False

    def open(self) -> list[Kept]:
        """What is open of an earlier coordinator, in the order in which it came; and begin to write.

        It stays open under its tickets. A file that cannot be used is warned of, and no other reason to stop.
        """
        assert self._thread is None, "it is open"
        kept = self._read()
        try:
            self._ledger.start(kept)
        except (OSError, ClusterError) as error:
            self._remove_old(kept)
            self._fail(error)
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()
        return kept

    def begin(self, asked: Asked, then: Then) -> None:
        """`then` is called, by the journal's thread, once the request is on disk. For any thread; never waits.

        One that is open with the same ticket ends.
        """
        self._give((asked.ticket, asked, then))

    def tell(self, ticket: bytes, output: TokenEvent | ClusterError, then: Then) -> None:
        """As `begin`, for what the request is told. The last output ends it; those of unknown tickets just pass."""
        self._give((ticket, output, then))

    def close(self) -> None:
        """Write what was given, and end the thread; the file stays. Whatever is given later just passes."""
        self._is_closing = True
        self._give((b"", ClusterError("closed"), _wake))
        if self._thread is not None:
            self._thread.join()

    def _give(self, entry: Entry) -> None:
        self._entries.put(entry)
        if self._is_ended:
            self._let_pass()

    def _read(self) -> list[Kept]:
        try:
            return read_kept(self._path, self._identity)
        except FileNotFoundError:
            return []
        except (OSError, ClusterError) as error:
            _log.warning("journal: begins empty: %s", error)
            return []

    def _remove_old(self, kept: list[Kept]) -> None:
        """It will not have what these requests are told from now on, so that nobody must go on from it."""
        if kept:
            try:
                self._path.unlink()
            except OSError as error:
                _log.warning("journal: %s; requests must not be taken up from it again", error)

    def _run(self) -> None:
        while not self._is_closing or not self._entries.empty():
            entries = self._take()
            self._write(entries)
            _follow(entries)
            self._tidy()
        self._ledger.close()
        self._is_ended = True  # first, so that whoever gives something behind our last look passes it himself
        self._let_pass()

    def _take(self) -> list[Entry]:
        """All that has come. Waits for it, unless there is something else to do."""
        try:
            first = self._entries.get(block=not self._ledger.is_copying)
        except Empty:
            return []
        return [first, *(self._entries.get_nowait() for _ in range(self._entries.qsize()))]

    def _write(self, entries: list[Entry]) -> None:
        if not self._ledger.is_written and not self._try_again(entries):
            return
        try:
            self._ledger.write(entries)
        except Exception as error:  # whatever it is, the requests go on
            self._fail(error)

    def _tidy(self) -> None:
        if self._ledger.is_written:
            try:
                self._ledger.tidy()
            except Exception as error:
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Before anybody is told more than the file has, it is gone."""
        self._ledger.abandon()
        is_taken = isinstance(error, HandshakeError) or os.path.lexists(self._path)
        self._retry_at_s = math.inf if is_taken else time.monotonic() + RETRY_S
        _log.warning(
            "journal: %s; requests that are open now cannot be taken up again after a crash",
            error,
            exc_info=None if isinstance(error, OSError | ClusterError) else error,
        )

    def _try_again(self, entries: list[Entry]) -> bool:
        """Whether there is a file again. Quiet, for it was warned of already."""
        if time.monotonic() < self._retry_at_s or not any(isinstance(said, Asked) for _, said, _ in entries):
            return False
        self._retry_at_s = time.monotonic() + RETRY_S
        try:
            self._ledger.start([])
        except (OSError, ClusterError):
            return False
        _log.warning("journal: written again")
        return True

    def _let_pass(self) -> None:
        """What came too late to be written."""
        while True:
            try:
                entry = self._entries.get_nowait()
            except Empty:
                return
            _follow([entry])


def _follow(entries: Iterable[Entry]) -> None:
    """One that fails must not hurt the others."""
    for _, _, then in entries:
        try:
            then()
        except Exception:
            _log.warning("journal: what follows on a record failed", exc_info=True)


def _wake() -> None:
    """Nothing follows; the thread looks up."""

"""Journal: what is asked and told goes to the kernel, and only then to whoever waits for it.

The kernel's pages outlive the process, also a kill -9: a new coordinator knows all that a client may have seen. They do
not outlive a power failure; nor does a cluster, and with it go its requests. To wait for the disk would buy nothing.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from cluster.api.errors import ClusterError, HandshakeError
from cluster.api.results import TokenEvent
from cluster.coordinator.journal.asked import Asked
from cluster.coordinator.journal.kept import Kept
from cluster.coordinator.journal.ledger import Ledger, warn_of_one
from cluster.coordinator.journal.limits import MAX_BYTES, RETRY_S
from cluster.coordinator.journal.reading import read_kept
from cluster.coordinator.journal.records import begin_message

_log = logging.getLogger(__name__)


class Journal:
    """The requests for text that are open, in the file at `path`, whose folder is there and ours. For any thread.

    What a method was given is with the kernel when it returns, and may be told to a client. Where that fails, the file
    is taken away instead, so that nobody goes on from less than was told; requests go on as if there were no journal,
    and those that begin once it can be written again are in it again. None of the methods raises for that.
    """

    def __init__(self, path: Path, identity: str, *, max_bytes: int = MAX_BYTES) -> None:
        """`identity` is of model and version: what another one wrote is not taken up.

        `max_bytes`: a longer file is begun anew with what is open, unless that alone is half of it.
        """
        self._path = path
        self._identity = identity
        self._ledger = Ledger(path, identity, max_bytes)
        self._lock = threading.Lock()
        self._retry_at_s = math.inf  # time to try again to write, where we could not

    def open(self) -> list[Kept]:
        """What is open of an earlier coordinator, in the order in which it came; and begin to write.

        It stays open under its tickets. A file that cannot be used is warned of, and no other reason to stop.
        """
        kept = self._read()
        with self._lock:
            try:
                self._ledger.start(kept)
            except (OSError, ClusterError) as error:
                self._remove_old(kept)
                self._fail(error)
        return kept

    def begin(self, asked: Asked) -> None:
        """A new request. One that is open with the same ticket ends."""
        try:
            message = begin_message(asked)  # without the lock: a long prompt takes longer than a step of the engine
        except Exception as error:
            warn_of_one(error)
            self.end(asked.ticket)
            return
        with self._lock:
            if not self._ledger.is_written and not self._try_again():
                return
            try:
                self._ledger.begin(message)
            except Exception as error:  # whatever it is, the requests go on
                self._fail(error)

    def tell(self, told: Sequence[tuple[bytes, TokenEvent]]) -> None:
        """What requests, by their tickets, are told next: all of a step of the engine, with one write.

        Those of unknown tickets are left out; so are last ones, which `end` stands for.
        """
        self._write(partial(self._ledger.tell, told))

    def try_again(self, ticket: bytes) -> None:
        """A request of an earlier coordinator is computed on from now: if this one dies of it, the next one knows."""
        self._write(partial(self._ledger.try_again, ticket))

    def end(self, ticket: bytes) -> None:
        """Its client has all, or is gone. Unknown tickets are ignored."""
        self._write(partial(self._ledger.end, ticket))

    def close(self) -> None:
        """The file stays. Whatever is given later is ignored."""
        with self._lock:
            self._ledger.close()
            self._retry_at_s = math.inf

    def _write(self, write: Callable[[], None]) -> None:
        """Unless there is no file now."""
        with self._lock:
            if self._ledger.is_written:
                try:
                    write()
                except Exception as error:  # whatever it is, the requests go on
                    self._fail(error)

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

    def _try_again(self) -> bool:
        """Whether there is a file again. Quiet, for it was warned of already."""
        if time.monotonic() < self._retry_at_s:
            return False
        self._retry_at_s = time.monotonic() + RETRY_S
        try:
            self._ledger.start([])
        except (OSError, ClusterError):
            return False
        _log.warning("journal: written again")
        return True

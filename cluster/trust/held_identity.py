"""The identity of a running process, which follows the files: a renewed certificate is taken without a restart."""

from __future__ import annotations

import contextlib
import datetime
import logging
import threading
from pathlib import Path

from cluster.api.errors import ClusterError, UnauthenticatedError
from cluster.trust.identity import CA_FILE, CERTIFICATE_FILE, KEY_FILE, Identity, read_identity
from cluster.trust.soundness import fault_of

ADVICE = "join the cluster again: cluster join"
_FILES = (CA_FILE, CERTIFICATE_FILE, KEY_FILE)
_Seen = tuple[tuple[int, int, int], ...]

_log = logging.getLogger(__name__)


class HeldIdentity:
    """The identity of the node `name`, in the files of `folder`. Threads may share it.

    Files are replaced one after the other, and may be bad: only what others would believe takes the place of what was
    held before.
    """

    def __init__(self, folder: Path, name: str, cluster_id: str) -> None:
        """ClusterError where there is none, or another user may have written it, UnauthenticatedError for a bad one."""
        self._folder = folder
        self._name = name
        self._cluster_id = cluster_id
        self._lock = threading.Lock()
        self._seen = self._look()
        self._held = self._read()

    def current(self) -> Identity:
        """The identity now; some three calls of the system where nothing has changed."""
        with self._lock:
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                try:
                    self._held = self._read()
                except ClusterError as error:
                    _log.warning("%s; the former identity stays in use", error)
            return self._held

    def _read(self) -> Identity:
        try:
            identity = read_identity(self._folder, self._name, self._cluster_id)
        except FileNotFoundError as error:
            raise ClusterError(f"{self._folder}: this node has no certificate there; {ADVICE}") from error
        fault = fault_of(identity, datetime.datetime.now(datetime.UTC))
        if fault:
            raise UnauthenticatedError(f"{self._folder}: nobody will believe this identity: {fault}; {ADVICE}")
        return identity

    def _look(self) -> _Seen:
        found = []
        for name in _FILES:
            with contextlib.suppress(OSError):
                status = (self._folder / name).stat()
                found.append((status.st_ino, status.st_mtime_ns, status.st_size))
        return tuple(found)

"""A list of records in a file that several processes change in turn, each record checked when it is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from cluster.api.errors import ClusterError
from cluster.node.disk import disk_error
from cluster.node.file_lock import file_lock
from cluster.node.private import read_private, write_private
from cluster.node.state import ADVICE

FILE_VERSION = 1
Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class RecordFile(Generic[Record]):
    """Dataclasses, below `key`. `of` makes one of what JSON gives; ValueError, TypeError or KeyError if it cannot."""

    path: Path
    key: str
    of: Callable[[Any], Record]
    what: str  # they are, as in "no list of nodes"
    advice: str  # where they cannot be read

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time is in such a block. ClusterError, also for what the disk has against the block."""
        with self._errors(), file_lock(self.path):
            yield

    def read(self) -> list[Record]:
        """None where there is no file. ClusterError where it is damaged, or another user may have had a hand in it."""
        with self._errors():
            try:
                raw: Any = json.loads(read_private(self.path, others_may_look=True))
                if raw["version"] != FILE_VERSION:
                    raise ValueError("written by another version")
                return [self.of(item) for item in raw[self.key]]
            except FileNotFoundError:
                return []
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                raise ClusterError(f"{self.path}: no {self.what} ({error}); {self.advice}") from error

    def write(self, records: Sequence[Any]) -> None:
        """Replace them all, in one step. ClusterError."""
        told = {"version": FILE_VERSION, self.key: [asdict(record) for record in records]}
        with self._errors():
            write_private(self.path, json.dumps(told, indent=1).encode())

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise disk_error(self.path, error, ADVICE) from error

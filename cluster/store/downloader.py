"""Fills a slice file with ranges of a model, several at once, and keeps the journal of what has arrived."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

from cluster.api.errors import ClusterError, UnreachableError
from cluster.store.journal import Journal
from cluster.store.origin import Origin
from cluster.store.transfer import Transfer

NUM_LOCAL_READS = 2  # a disk gains nothing from more
NUM_REMOTE_READS = 8
_REPORT_S = 0.2


class Digest(Protocol):
    def update(self, data: bytes | memoryview, /) -> object: ...
    def hexdigest(self) -> str: ...


@dataclass(slots=True)
class Filling:
    """The threads that fill one file. Leaving the block ends them, at the next chunk if it is left by an error."""

    out: int
    origins: Sequence[Origin]
    journal: Journal | None  # closed with this
    done_bytes: int
    _lost: set[int] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Filling:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        if self.journal is not None:
            self.journal.close()

    def run(self, transfers: Sequence[Transfer], file_bytes: int) -> Iterator[int]:
        """Carry out all transfers, which are in the order of their targets.

        Yields how far the file is complete from its start: often, and at last `file_bytes`. Raises what an origin
        raises, at once.
        """
        self._pool = ThreadPoolExecutor(self._num_threads(transfers), thread_name_prefix="fill")
        futures = [self._pool.submit(self._carry_out, transfer) for transfer in transfers]
        frontier = 0
        ends = [*(transfer.first_target for transfer in transfers[1:]), file_bytes]
        for future, end in zip(futures, ends, strict=False):
            while not wait([future], _REPORT_S).done:
                _raise_first(futures)
                yield frontier
            future.result()
            frontier = end
            yield frontier
        if not futures:
            yield file_bytes

    def _num_threads(self, transfers: Sequence[Transfer]) -> int:
        is_local = all(self.origins[transfer.origins[0]].is_local for transfer in transfers)
        return NUM_LOCAL_READS if is_local else NUM_REMOTE_READS

    def _carry_out(self, transfer: Transfer) -> None:
        """Read from the nearest origin; one that is gone is followed by the next, now and from then on."""
        for index in sorted(transfer.origins, key=lambda index: index in self._lost):
            try:
                self._read(transfer, self.origins[index])
                return
            except UnreachableError as error:
                self._lost.add(index)
                failure = error
        raise failure

    def _read(self, transfer: Transfer, origin: Origin) -> None:
        digests = [hashlib.sha256() for _ in transfer.pieces] if self.journal is not None else []
        index, position = 0, transfer.begin
        columns = bytearray()  # what has come of the piece that is made of columns
        for chunk in origin.read(transfer.begin, transfer.end):
            if self._stopped.is_set():
                raise ClusterError("writing a slice: stopped")
            index = self._put(transfer, index, position, memoryview(chunk), digests, columns)
            position += len(chunk)
        if position != transfer.end:
            raise UnreachableError(
                f"{origin.name}: gave {position - transfer.begin} of {transfer.end - transfer.begin} bytes; try again"
            )

    def _put(
        self,
        transfer: Transfer,
        index: int,
        position: int,
        chunk: memoryview,
        digests: Sequence[Digest],
        columns: bytearray,
    ) -> int:
        """Write what `chunk`, which stands at `position` of the model, has of the pieces from `index` on.

        Columns are gathered in `columns` until their piece is whole. Returns the index of the piece that the next chunk
        begins in.
        """
        end = position + len(chunk)
        while index < len(transfer.pieces):
            piece = transfer.pieces[index]
            begin_here, end_here = max(piece.begin, position), min(piece.end, end)
            if begin_here < end_here:
                part, target = chunk[begin_here - position : end_here - position], piece.target
                if piece.row_bytes:
                    columns += part
                    part = memoryview(piece.kept(bytes(columns)) if end_here == piece.end else b"")
                else:
                    target += begin_here - piece.begin
                write_at(self.out, part, target)
                with self._lock:
                    self.done_bytes += len(part)
                if digests:
                    digests[index].update(part)
            if end < piece.end:
                break
            if self.journal is not None:
                self.journal.add(piece, digests[index].hexdigest())
            columns.clear()
            index += 1
        return index


def _raise_first(futures: Sequence[Future[None]]) -> None:
    """Whatever failed ends everything now, not when it is its turn."""
    for future in futures:
        if future.done():
            future.result()


def write_at(out: int, chunk: bytes | memoryview, offset: int) -> None:
    """All of `chunk` at `offset` of an open file."""
    view = memoryview(chunk)
    while view:
        written = os.pwrite(out, view, offset)
        view, offset = view[written:], offset + written

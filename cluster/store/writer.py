"""Writes a planned slice file: reads several ranges at once, leaves holes for zeros, hashes what has arrived."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.api.errors import CapacityError
from cluster.cutting.cut import SlicePlan
from cluster.store.downloader import Digest, Filling, write_at
from cluster.store.journal import Journal, arrived, layout_of
from cluster.store.origin import Origin
from cluster.store.soundness import hash_open
from cluster.store.transfer import CHUNK_BYTES, Piece, plan_transfers, wanted_pieces

Progress = Callable[[float], object]


def check_room(folder: Path, needed_bytes: int) -> None:
    """CapacityError if fewer than `needed_bytes` are free on the file system of `folder`."""
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise CapacityError(
            f"slice store {folder}: {needed_bytes:,} bytes are needed, {free_bytes:,} are free; "
            "run `cluster cache rm`, or set XDG_CACHE_HOME to a larger disk"
        )


def hash_file(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hash_open(file.fileno())


@dataclass(frozen=True, slots=True)
class SliceFiles:
    """Where a slice is written, and the journal that lets a later call go on; None: start anew each time."""

    target: Path
    journal: Path | None


def needs_network(plan: SlicePlan, origins: Sequence[Origin]) -> bool:
    """Whether bytes of the slice come from outside. ModelFileError where nobody has them."""
    transfers = plan_transfers(wanted_pieces(plan), [origin.covers for origin in origins])
    return not all(origins[transfer.origins[0]].is_local for transfer in transfers)


def write_slice(plan: SlicePlan, origins: Sequence[Origin], files: SliceFiles, progress: Progress | None = None) -> str:
    """Write `plan` to `files.target`, synced to disk; its SHA-256 (hex), holes read as zeros.

    What an earlier call left there counts as far as its journal proves it. Each range is read from the first of
    `origins` that has it, and from the next one if that became unreachable.

    CapacityError if there is no room, ModelFileError if a source is not what it was, UnreachableError if it does
    not answer; OSError as the disk gives it. `progress` gets 0..1.
    """
    pieces = wanted_pieces(plan)
    layout = layout_of(plan, pieces)
    with _slice_file(plan, files, layout, pieces) as (out, done):
        missing = [piece for piece in pieces if piece not in done]
        missing_bytes = sum(piece.size_bytes for piece in missing)
        check_room(files.target.parent, len(plan.header_bytes) + missing_bytes)
        transfers = plan_transfers(missing, [origin.covers for origin in origins])
        digest = hashlib.sha256()
        hashed = 0
        journal = Journal(files.journal, layout) if files.journal is not None else None
        with Filling(out, origins, journal, plan.weight_bytes - missing_bytes) as filling:
            for frontier in filling.run(transfers, plan.file_bytes):
                _hash_range(digest, out, hashed, frontier)
                hashed = frontier
                if progress is not None:
                    progress(min(1.0, filling.done_bytes / max(1, plan.weight_bytes)))
        os.fsync(out)
    return digest.hexdigest()


@contextmanager
def _slice_file(
    plan: SlicePlan, files: SliceFiles, layout: str, pieces: Sequence[Piece]
) -> Iterator[tuple[int, frozenset[Piece]]]:
    """The open file in full size with its header, and the pieces that are in it already."""
    if files.journal is None or not files.journal.exists():
        files.target.unlink(missing_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    out = os.open(files.target, flags, 0o600)
    try:
        done: frozenset[Piece] = frozenset()
        if files.journal is not None and os.fstat(out).st_size == plan.file_bytes:
            done = arrived(files.journal, out, layout, pieces)
        if not done:
            os.ftruncate(out, 0)  # so that what is not written reads as zeros
        os.ftruncate(out, plan.file_bytes)
        write_at(out, plan.header_bytes, 0)
        yield out, done
    finally:
        os.close(out)


def _hash_range(digest: Digest, out: int, begin: int, end: int) -> None:
    while begin < end:
        chunk = os.pread(out, min(CHUNK_BYTES, end - begin), begin)
        digest.update(chunk)
        begin += len(chunk)

"""What has arrived of an interrupted download: one line per piece, beside the unfinished slice file.

Nothing in it is believed: a line counts for one plan of the slice only, and the bytes of a piece are read again and
must have the digest of its line. So neither file needs a sync, and whatever a crash left of them is found out.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from cluster.cutting.cut import SlicePlan
from cluster.node.own_files import read_own
from cluster.store.transfer import Piece

_LINE = re.compile(r"([0-9a-f]{64}) ([0-9]{1,19}) ([0-9]{1,8}) ([0-9a-f]{64})")
MAX_JOURNAL_BYTES = 64 << 20


class Journal:
    """Appends to the file at `path`. Safe to use from several threads: a line is one write."""

    def __init__(self, path: Path, layout: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        self._layout = layout

    def add(self, piece: Piece, sha256: str) -> None:
        """The bytes of `piece` are in the slice file."""
        # A line that a crash cut off must not swallow the next one.
        os.write(self._descriptor, f"\n{self._layout} {piece.target} {piece.size_bytes} {sha256}\n".encode())

    def close(self) -> None:
        os.close(self._descriptor)


def layout_of(plan: SlicePlan, pieces: Sequence[Piece]) -> str:
    """SHA-256 (hex) of what says which bytes go where in a slice file."""
    places = [astuple(piece) for piece in pieces]
    return hashlib.sha256(plan.header_bytes + repr(places).encode()).hexdigest()


def arrived(path: Path, slice_file: int, layout: str, pieces: Sequence[Piece]) -> frozenset[Piece]:
    """The pieces whose bytes are in the open `slice_file`, as the journal at `path` says and they prove."""
    lines = _lines(path, layout)
    return frozenset(piece for piece in pieces if _digest(slice_file, piece, lines) is not None)


def _lines(path: Path, layout: str) -> dict[tuple[int, int], str]:
    text = (read_own(path, MAX_JOURNAL_BYTES) or b"").decode("ascii", "replace")
    matches = filter(None, map(_LINE.fullmatch, text.split("\n")))
    return {(int(match[2]), int(match[3])): match[4] for match in matches if match[1] == layout}


def _digest(slice_file: int, piece: Piece, lines: dict[tuple[int, int], str]) -> str | None:
    """The digest of the line for `piece`, None if there is none or the bytes have another."""
    noted = lines.get((piece.target, piece.size_bytes))
    if noted is None:
        return None
    found = hashlib.sha256(os.pread(slice_file, piece.size_bytes, piece.target)).hexdigest()
    return noted if found == noted else None

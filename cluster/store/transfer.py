"""Which bytes of a model come from where, and where they go in a slice file: a pure decision."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cluster.api.errors import ModelFileError
from cluster.cutting.cut import SlicePlan
from cluster.cutting.planned import PlannedTensor
from cluster.store.fingerprint import Range
from ggml.gguf.encode import aligned

CHUNK_BYTES = 8 << 20  # most bytes of one transfer: what is asked for at once, and lost when interrupted
MAX_GAP_BYTES = 4096  # unwanted bytes between two wanted ones that are cheaper read than asked around


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the model from `begin` on, of which `size_bytes` go to `target` of the slice file.

    Where there is a `row_bytes`, they are the first `kept_bytes` of each so many; else they are all, in one.
    """

    begin: int
    target: int
    size_bytes: int
    row_bytes: int = 0
    kept_bytes: int = 0

    @property
    def end(self) -> int:
        if not self.row_bytes:
            return self.begin + self.size_bytes
        return self.begin + (self.size_bytes // self.kept_bytes - 1) * self.row_bytes + self.kept_bytes

    def kept(self, data: bytes) -> bytes:
        """What goes to the slice file, of all bytes [begin, end)."""
        if not self.row_bytes:
            return data
        starts = range(0, len(data), self.row_bytes)
        return b"".join(data[start : start + self.kept_bytes] for start in starts)


@dataclass(frozen=True, slots=True)
class Transfer:
    """One read of bytes [begin, end) of the model; `pieces` in order, `origins` are indices, nearest first."""

    begin: int
    end: int
    pieces: tuple[Piece, ...]
    origins: tuple[int, ...]

    @property
    def first_target(self) -> int:
        """Below it, nothing of this transfer goes."""
        return min(piece.target for piece in self.pieces)


def wanted_pieces(plan: SlicePlan) -> tuple[Piece, ...]:
    """Everything that a slice file takes from the model, in the file's order; the rest of it is zeros.

    No piece is larger than CHUNK_BYTES. The same plan always gives the same pieces.
    """
    pieces: list[Piece] = []
    target = len(plan.header_bytes)
    for info in plan.tensors:
        if info.source_row_bytes:
            pieces += _pieces_of_columns(info, target)
        elif info.source_offset is not None:
            for done in range(0, info.size_bytes, CHUNK_BYTES):
                size_bytes = min(CHUNK_BYTES, info.size_bytes - done)
                pieces.append(Piece(info.source_offset + done, target + done, size_bytes))
        target += aligned(info.size_bytes)
    return tuple(pieces)


def _pieces_of_columns(info: PlannedTensor, target: int) -> Iterator[Piece]:
    assert info.source_offset is not None
    num_rows, kept_bytes = info.shape[0], info.size_bytes // info.shape[0]
    step = max(1, CHUNK_BYTES // info.source_row_bytes)
    for row in range(0, num_rows, step):
        size_bytes = min(step, num_rows - row) * kept_bytes
        begin = info.source_offset + row * info.source_row_bytes
        yield Piece(begin, target + row * kept_bytes, size_bytes, info.source_row_bytes, kept_bytes)


def covers(ranges: Sequence[Range], begin: int, end: int) -> bool:
    """Whether one of the ranges, which are in order, has all of [begin, end)."""
    index = bisect_right(ranges, begin, key=lambda found: found[0]) - 1
    return index >= 0 and end <= ranges[index][1]


def plan_transfers(pieces: Sequence[Piece], held: Sequence[Sequence[Range]]) -> tuple[Transfer, ...]:
    """How to get `pieces`; `held[i]` are the ranges of the model that origin i has, in order; nearest origin first.

    Each transfer has bytes that the same origins have, at most CHUNK_BYTES. They are in the order of their
    targets, so that the file fills from its start. ModelFileError where nobody has a piece.
    """
    transfers: list[Transfer] = []
    for piece in sorted(pieces, key=lambda piece: piece.begin):
        origins = tuple(index for index, ranges in enumerate(held) if covers(ranges, piece.begin, piece.end))
        if not origins:
            raise ModelFileError(
                f"bytes [{piece.begin}, {piece.end}) of the model: no node and no address has them; "
                "name a source that is whole"
            )
        last = transfers[-1] if transfers else None
        if last is not None and _joins(last, piece, origins):
            transfers[-1] = Transfer(last.begin, piece.end, (*last.pieces, piece), origins)
        else:
            transfers.append(Transfer(piece.begin, piece.end, (piece,), origins))
    return tuple(sorted(transfers, key=lambda transfer: transfer.first_target))


def _joins(last: Transfer, piece: Piece, origins: tuple[int, ...]) -> bool:
    gap_bytes = piece.begin - last.end
    return last.origins == origins and 0 <= gap_bytes <= MAX_GAP_BYTES and piece.end - last.begin <= CHUNK_BYTES

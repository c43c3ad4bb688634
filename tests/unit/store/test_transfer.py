"""Where each byte comes from: a pure decision, checked by carrying it out on random models."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from cluster.api.errors import ModelFileError
from cluster.cutting.cut import plan_file
from cluster.cutting.planned import PlannedTensor
from cluster.store import origin, transfer
from cluster.store.fingerprint import Range
from cluster.store.journal import arrived, layout_of
from cluster.store.origin import FileOrigin, slice_origin
from cluster.store.transfer import Piece, covers, plan_transfers, wanted_pieces
from cluster.store.writer import SliceFiles, hash_file, write_slice
from ggml.gguf.tensor_types import tensor_type


def carry_out(pieces: list[Piece], held: list[list[Range]]) -> dict[int, tuple[int, int]]:
    """{target: (byte of the model, origin)} as the transfers say, each byte of a piece once."""
    found: dict[int, tuple[int, int]] = {}
    for item in plan_transfers(pieces, held):
        assert item.end - item.begin <= transfer.CHUNK_BYTES
        assert item.pieces[0].begin == item.begin
        assert item.pieces[-1].end == item.end
        for piece in item.pieces:
            assert all(covers(held[origin], piece.begin, piece.end) for origin in item.origins)
            for byte in range(piece.size_bytes):
                assert piece.target + byte not in found
                found[piece.target + byte] = (piece.begin + byte, item.origins[0])
    return found


def test_every_byte_comes_once_and_from_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "CHUNK_BYTES", 64)
    monkeypatch.setattr(transfer, "MAX_GAP_BYTES", 8)
    rng = random.Random(5)
    for _ in range(200):
        pieces, begin, target = [], 0, 100
        for _ in range(rng.randrange(1, 20)):
            begin += rng.choice((0, 0, 3, 8, 9, 50))
            pieces.append(Piece(begin, target, rng.randrange(1, 65)))
            begin, target = pieces[-1].end, target + 64 + rng.randrange(5)
        rng.shuffle(pieces)
        near = sorted((piece.begin, piece.end) for piece in pieces if rng.random() < 0.5)
        held = [near, [(0, begin)]]
        found = carry_out(pieces, held)
        assert len(found) == sum(piece.size_bytes for piece in pieces)
        for piece in pieces:
            origin = 0 if (piece.begin, piece.end) in near else 1
            assert found[piece.target] == (piece.begin, origin)


def test_neighbours_are_read_at_once_and_targets_rise(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [Piece(0, 1000, 50), Piece(60, 1100, 40), Piece(100, 0, 100), Piece(100_000, 500, 7)]
    found = plan_transfers(pieces, [[(0, 200_000)]])
    assert [(item.begin, item.end, item.first_target) for item in found] == [(0, 200, 0), (100_000, 100_007, 500)]
    monkeypatch.setattr(transfer, "MAX_GAP_BYTES", 9)
    assert len(plan_transfers(pieces, [[(0, 200_000)]])) == 3


def test_columns_are_taken_out_of_their_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of a table of 50 rows of 10 layers, 6 bytes each, those of some layers; read in odd chunks."""
    monkeypatch.setattr(transfer, "CHUNK_BYTES", 200)
    monkeypatch.setattr(origin, "READ_BYTES", 37)
    table = np.random.default_rng(3).integers(0, 256, (50, 60), np.uint8)
    source, target, journal = (tmp_path / name for name in ("source", "target", "journal"))
    source.write_bytes(bytes(11) + table.tobytes() + bytes(5))
    status = source.stat()
    held = FileOrigin(str(source), status.st_size, status.st_mtime_ns)
    f32 = tensor_type("f32")
    for first, end in ((0, 10), (0, 1), (3, 7), (9, 10)):
        size_bytes = 50 * 6 * (end - first)
        planned = PlannedTensor("table", (50, end - first), f32, size_bytes, 11 + 6 * first, 60)
        plan = plan_file(first, end, 10, {}, (planned, PlannedTensor("next", (1,), f32, 4, 7)))
        assert write_slice(plan, [held], SliceFiles(target, journal)) == hash_file(target)
        written = target.read_bytes()[len(plan.header_bytes) :][:size_bytes]
        assert written == table[:, 6 * first : 6 * end].tobytes()
        # All is there: what the journal says is believed once the bytes prove it.
        pieces = wanted_pieces(plan)
        with target.open("rb") as file:
            assert arrived(journal, file.fileno(), layout_of(plan, pieces), pieces) == frozenset(pieces)
        found = slice_origin(target, plan)
        assert found is not None and found.covers == ((7, 11),)


def test_what_nobody_has_is_told() -> None:
    with pytest.raises(ModelFileError, match=r"bytes \[90, 110\) of the model: no node and no address has them"):
        plan_transfers([Piece(90, 0, 20)], [[(0, 100)], [(100, 200)]])
    assert plan_transfers([], []) == ()

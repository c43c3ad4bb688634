"""Sequences whose rows some stages have lost: these stages are given them again, and no other computes them."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.engine.chunk import Chunk
from cluster.engine.limits import Limits
from cluster.engine.room import MicrobatchRoom
from cluster.engine.sequence import Sequence
from cluster.messages.step import SlotStart


class Restoring:
    """First come, first served. A sequence leaves when the last of its rows is cut: what follows may go behind it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.stages: tuple[int, ...] = ()
        self._sequences: dict[int, Sequence] = {}  # by request id

    def __bool__(self) -> bool:
        """Something is to be sent."""
        return bool(self._sequences)

    def begin(self, stages: tuple[int, ...], sequences: Iterable[Sequence]) -> None:
        """`stages` hold nothing, the others `num_held` tokens of each of the sequences."""
        self.stages = stages
        self._sequences = {sequence.request_id: sequence for sequence in sequences}

    def remove(self, request_id: int) -> None:
        self._sequences.pop(request_id, None)

    def clear(self) -> None:
        self._sequences.clear()

    def cut(self) -> tuple[list[Chunk], tuple[SlotStart, ...], list[Sequence]]:
        """Chunks for one microbatch, what their slots start with, and the sequences that are whole behind it."""
        chunks: list[Chunk] = []
        starts: list[SlotStart] = []
        whole: list[Sequence] = []
        room, max_rows = MicrobatchRoom(self._limits), self._limits.max_batch_tokens
        for sequence in list(self._sequences.values()):
            first = sequence.num_sent
            num_rows = min(max_rows, sequence.num_held - first, room.num_rows(sequence, first))
            if num_rows <= 0:
                continue
            if first == 0:
                starts.append(SlotStart(sequence.held_slot, sequence.held_slot, 0))
            chunk = Chunk(sequence, first, first + num_rows, 0)
            chunks.append(chunk)
            room.take(chunk)
            max_rows -= num_rows
            if chunk.end == sequence.num_held:
                whole.append(sequence)
                del self._sequences[sequence.request_id]
        return chunks, tuple(starts), whole

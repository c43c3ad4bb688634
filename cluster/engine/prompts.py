"""Prompts: the sequences whose prompts have yet to be sent, and the chunks that are cut from them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from collections.abc import Sequence as Tokens

from cluster.engine.chunk import Chunk, cut_chunk
from cluster.engine.limits import Limits
from cluster.engine.prefix import shared_length
from cluster.engine.room import MicrobatchRoom
from cluster.engine.sequence import Sequence, State
from cluster.engine.slots import Slots
from cluster.fairness.queue import FairQueue, Turns
from cluster.messages.step import SlotStart

ChooseStart = Callable[
    [Tokens[int], int, Mapping[int, Tokens[int]], tuple[float, ...], Callable[[int], int]], SlotStart
]


class Prompts:
    """First come, first served: one prompt after the other, and a short one in what another's chunk leaves.

    So it is for the prompts of one client. Several take turns: a free slot goes to whoever has fewest, and the next
    chunk to whoever has had none for longest.

    A sequence gets its slot when its first chunk is cut, so that it can start from what was sent until then.
    """

    def __init__(self, slots: Slots, limits: Limits) -> None:
        self._slots = slots
        self._limits = limits
        self._can_reuse = limits.can_truncate  # what a slot holds; else every prompt is computed whole
        self._waiting: FairQueue[Sequence] = FairQueue()  # by request id; have no slot yet
        self._begun: dict[int, Sequence] = {}  # by request id; part of the prompt has been sent
        self._turns = Turns()  # at chunks

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def are_pending(self) -> bool:
        """Something could be sent now."""
        return bool(self._begun) or bool(self._waiting and self._slots.num_free)

    def due(self, running: Collection[Sequence]) -> list[Sequence]:
        """The prompts that could be sent now, in order; what they will find cached is not known yet."""
        return self._due(running)[0]

    def add(self, sequence: Sequence) -> None:
        self._turns.came(sequence.client)
        self._waiting.add(sequence.request_id, sequence.client, sequence)

    def resume(self, sequence: Sequence) -> None:
        """It has a slot, and the stages hold a part of it."""
        self._turns.came(sequence.client)
        self._begun[sequence.request_id] = sequence

    def gives_way_to(self, client: str, running: Collection[Sequence]) -> Sequence | None:
        """Who leaves a full queue for a request of `client`; None if that one has no less than the others."""
        return self._waiting.gives_way_to(client, _num_slots_by_client(running))

    def remove(self, request_id: int) -> Sequence | None:
        """Forgets a sequence; None if it is not here (any more)."""
        return self._waiting.remove(request_id) or self._begun.pop(request_id, None)

    def clear(self) -> list[Sequence]:
        """Forgets all sequences; returns those that had no slot."""
        waiting = self._waiting.clear()
        self._begun.clear()
        self._forget_clients()
        return waiting

    def cut(
        self, max_rows: int, running: Collection[Sequence], now_s: float
    ) -> tuple[list[Chunk], tuple[SlotStart, ...]]:
        """Chunks for one microbatch, of `max_rows` rows in all, and what their slots start with.

        `running`: all sequences that have a slot, from before this microbatch.
        """
        chunks: list[Chunk] = []
        starts: list[SlotStart] = []
        room = MicrobatchRoom(self._limits)
        due, others = self._due(running)
        for sequence in (*due, *others):
            place = self._place_of(sequence, running)
            num_rows = self._num_rows(sequence, place, room, max_rows, is_first=not chunks)
            if num_rows <= 0:
                continue
            if sequence.slot is None:
                sent = (*running, *(chunk.sequence for chunk in chunks))
                if not self._slots.num_free or (self._can_reuse and _will_share_more(sequence, sent)):
                    continue
                starts.append(self._begin(sequence, running, now_s))
            chunk = cut_chunk(sequence, num_rows)
            chunks.append(chunk)
            max_rows -= chunk.num_rows
            room.take(chunk)
        self._have_been_cut(chunks)
        return chunks, tuple(starts)

    def _place_of(self, sequence: Sequence, running: Collection[Sequence]) -> int:
        """Where its next rows are: by what it would start with in a slot, they are a picture's, or tokens."""
        if sequence.slot is not None or not sequence.pictures or not self._slots.num_free:
            return sequence.num_sent
        return self._start_of(sequence, running, self._slots.choose).length

    def _num_rows(self, sequence: Sequence, place: int, room: MicrobatchRoom, max_rows: int, *, is_first: bool) -> int:
        """Most rows of it from `place` on that may go into the microbatch. Of those that cannot be separated all or
        none: all where they are the first, however many."""
        num_rows = min(max_rows, room.num_rows(sequence, place))
        whole = sequence.num_unsent if self._limits.takes_whole else sequence.inseparable_at(place)
        if is_first:
            return whole or num_rows
        return num_rows if num_rows >= whole else 0

    def cut_alone(
        self, sequence: Sequence, max_rows: int, running: Collection[Sequence], now_s: float
    ) -> tuple[list[Chunk], tuple[SlotStart, ...]]:
        """The same of one sequence. A slot must be free for it, unless it has one."""
        starts = () if sequence.slot is not None else (self._begin(sequence, running, now_s),)
        chunks = [cut_chunk(sequence, max_rows)]
        self._have_been_cut(chunks)
        return chunks, starts

    def _have_been_cut(self, chunks: Collection[Chunk]) -> None:
        self._turns.served({chunk.sequence.client for chunk in chunks})
        for chunk in chunks:
            if chunk.end == chunk.sequence.num_tokens:
                del self._begun[chunk.sequence.request_id]
        self._forget_clients()

    def _due(self, running: Collection[Sequence]) -> tuple[list[Sequence], Iterator[Sequence]]:
        """The prompts that could be sent now, as their turns come; and who gets a slot if one of these cannot."""
        waiting = self._waiting.in_order(_num_slots_by_client(running)) if self._slots.num_free else iter(())
        due = [*self._begun.values(), *itertools.islice(waiting, self._slots.num_free)]
        if len(self._turns.waiting) > 1:
            due.sort(key=lambda sequence: self._turns.since(sequence.client))
        return due, waiting

    def _forget_clients(self) -> None:
        """The sequences that have no prompt here any more."""
        pending = {sequence.client for sequence in self._begun.values()}.union(self._waiting.clients)
        for client in [client for client in self._turns.waiting if client not in pending]:
            self._turns.left(client)

    def _start_of(self, sequence: Sequence, running: Collection[Sequence], choose: ChooseStart) -> SlotStart:
        sent = {other.slot: other.log[: other.num_sent] for other in running if other.slot is not None}
        num_reusable = sequence.num_reusable if self._can_reuse else 0
        return choose(sequence.log, num_reusable, sent, sequence.scales, sequence.last_cut)

    def _begin(self, sequence: Sequence, running: Collection[Sequence], now_s: float) -> SlotStart:
        """Moves it from the queue into a slot."""
        start = self._start_of(sequence, running, self._slots.allocate)
        sequence.slot, sequence.state, sequence.num_computed = start.slot, State.RUNNING, start.length
        if sequence.admitted_s is None:  # else it is computed again, and has been told of this
            sequence.admitted_s, sequence.num_cached = now_s, start.length
        self._begun[sequence.request_id] = self._waiting.take(sequence.request_id)
        return start


def _num_slots_by_client(running: Collection[Sequence]) -> Counter[str]:
    return Counter(sequence.client for sequence in running)


def _will_share_more(sequence: Sequence, others: Collection[Sequence]) -> bool:
    """A prompt that is being sent begins with more of this one than has been sent: better wait for it."""
    return any(
        shared_length(sequence.log[: sequence.num_reusable], other.log) > other.num_sent
        for other in others
        if other.num_unsent > 0 and not other.num_generated and other.scales == sequence.scales
    )

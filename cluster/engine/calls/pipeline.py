"""Which call goes next, and which are on their way. A state without clock, threads or network."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import replace

from cluster.api.errors import CapacityError
from cluster.engine.calls.call import Call
from cluster.engine.sequence import MOST_LOSSES
from cluster.fairness.queue import FairQueue
from cluster.messages.program import ProgramStep
from cluster.messages.step import StepId


class CallPipeline:
    """At most `max_in_flight` calls are under way, each in a lane of its own; up to `max_waiting` others wait."""

    def __init__(self, max_in_flight: int, max_waiting: int, epoch: int = 0) -> None:
        self._max_in_flight = max_in_flight
        self._max_waiting = max_waiting
        self._waiting: FairQueue[Call] = FairQueue()
        self.begin(epoch)

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def num_in_flight(self) -> int:
        return len(self._in_flight)

    def begin(self, epoch: int) -> None:
        """Start a newer epoch, or the first one. Nothing that is under way will be answered: see `clear`."""
        self.epoch, self._next_step = epoch, 0
        self._in_flight: dict[StepId, Call] = {}
        self._free_lanes = list(range(self._max_in_flight))
        self._cancelled: set[int] = set()

    def add(self, call: Call) -> Call | None:
        """Let a call wait. Another one of a client who has more may have to leave: that is returned.

        CapacityError where nobody has more.
        """
        leaves = None
        if not self._free_lanes and len(self._waiting) >= self._max_waiting:
            leaves = self._waiting.gives_way_to(call.client, self._held)
            if leaves is None:
                raise CapacityError(f"queue: {len(self._waiting)} calls wait already; ask again later")
            self._waiting.remove(leaves.number)
        self._waiting.add(call.number, call.client, call)
        return leaves

    def next_step(self) -> ProgramStep | None:
        """The next call to send, of whoever has least under way; None while all lanes are in use, or nobody waits."""
        if not self._free_lanes:
            return None
        call = next(self._waiting.in_order(self._held), None)
        if call is None:
            return None
        self._waiting.take(call.number)
        step_id = StepId(self.epoch, heapq.heappop(self._free_lanes), self._next_step)
        self._next_step += 1
        self._in_flight[step_id] = call  # with its arrays, which may have to be sent once more
        return ProgramStep(step_id, call.symbols, call.arrays)

    def complete(self, step_id: StepId) -> Call | None:
        """The call that was answered. None for one of another epoch, that came before, or that nobody waits for."""
        call = self._in_flight.pop(step_id, None)
        if call is None:
            return None
        heapq.heappush(self._free_lanes, step_id.microbatch)
        if call.number in self._cancelled:
            self._cancelled.discard(call.number)
            return None
        return call

    def cancel(self, number: int) -> None:
        """Nobody waits for it any more. What is under way is computed to its end."""
        if self._waiting.remove(number) is None and any(call.number == number for call in self._in_flight.values()):
            self._cancelled.add(number)

    def rewind(self, *, is_loss: bool) -> None:
        """Let all that is under way wait again, before all others. `is_loss`: stages died, maybe of one of them."""
        under_way = {call.number for call in self._in_flight.values()}
        for call in self.clear():
            if is_loss:
                is_suspected = call.number in under_way
                call = replace(call, num_losses=call.num_losses + is_suspected, is_suspected=is_suspected)
            self._waiting.add(call.number, call.client, call)

    def judge(self, *, nobody_died: bool) -> list[Call]:
        """Before a newer epoch: take those out that were under way at too many deaths. `nobody_died`: the last time."""
        ended: list[Call] = []
        for call in self.clear():
            if nobody_died:
                call = replace(call, num_losses=call.num_losses - call.is_suspected, is_suspected=False)
            if call.num_losses >= MOST_LOSSES:
                ended.append(call)
            else:
                self._waiting.add(call.number, call.client, call)
        return ended

    def clear(self) -> list[Call]:
        """Take all calls out that somebody waits for: those under way first."""
        under_way = [call for call in self._in_flight.values() if call.number not in self._cancelled]
        self.begin(self.epoch)
        return under_way + self._waiting.clear()

    @property
    def _held(self) -> Counter[str]:
        return Counter(call.client for call in self._in_flight.values())

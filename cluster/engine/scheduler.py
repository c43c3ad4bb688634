"""Scheduler: which rows go into the next microbatch, and what a finished step means for its sequences."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from cluster.engine.batch import Batch, check_result, choose_neighbours, cut_chunks, form_batch
from cluster.engine.limits import Limits
from cluster.engine.sequence import Sequence, State
from cluster.engine.slots import Slots
from cluster.errors import CapacityError, UsageError
from cluster.messages import Float32Array, Microbatch, SampledToken, StepId, StepResult


@dataclass(frozen=True, slots=True)
class Progress:
    """What a step brought one sequence: a token (now in its log), or logits of its rows from `first` on."""

    sequence: Sequence
    sampled: SampledToken | None = None
    logits: Float32Array | None = None  # [rows, V]
    first: int = 0


class Scheduler:
    """Continuous batching over the lanes of a pipeline: requests join and leave at any step.

    A sequence is in at most one microbatch in flight. The sequences are spread evenly over the lanes, so that
    every stage has work as long as there are as many of them as lanes. Not thread safe; holds no clock.

    The stages promise: microbatches are run in the order in which they were returned here; each gets exactly
    one StepResult, also one without rows; and all slots are empty when a new epoch begins.
    """

    def __init__(self, limits: Limits, epoch: int = 0) -> None:
        self._limits = limits
        self._slots = Slots(limits.num_slots)
        self._waiting: dict[int, Sequence] = {}  # by request id, first come first
        self._running: dict[int, Sequence] = {}  # by request id
        self._ready: list[Sequence] = []  # running, with rows to compute, not in flight; longest idle first
        self._epoch = epoch
        self._next_step = 0
        self._in_flight: dict[StepId, Batch] = {}
        self._free_lanes = list(range(limits.max_in_flight))

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def num_slots_used(self) -> int:
        return self._slots.num_used

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def num_ready(self) -> int:
        """Sequences that could run now, were a lane free."""
        return len(self._ready)

    @property
    def num_in_flight(self) -> int:
        """Microbatches that have been handed out and not answered."""
        return len(self._in_flight)

    def add(self, sequence: Sequence) -> None:
        """Queues a sequence. Raises UsageError (prompt empty or too long) or CapacityError (queue full)."""
        num_tokens, context_length = sequence.num_tokens, self._limits.context_length
        if num_tokens == 0:
            raise UsageError("prompt: it has no tokens; give at least one")
        if num_tokens > context_length:
            raise UsageError(
                f"prompt: {num_tokens} tokens, but the context holds {context_length}; "
                "shorten it, or start the cluster with a larger context"
            )
        if len(self._waiting) >= self._limits.max_waiting + self._slots.num_free:
            raise CapacityError(
                f"queue: full, with {self._slots.num_used} requests running and {len(self._waiting)} waiting"
                "; try again later"
            )
        self._waiting[sequence.request_id] = sequence

    def next_batch(self, now_s: float) -> Microbatch | None:
        """The microbatch to send now; None when no lane is free or there is nothing to say.

        One without rows is returned when slots have to be dropped and no sequence can run.
        """
        if not self._free_lanes:
            return None
        self._admit(now_s)
        chosen = choose_neighbours(self._ready, self._share())
        chunks = cut_chunks(chosen, self._limits.max_batch_tokens, self._limits.max_logits_rows)
        if not chunks and not self._slots.num_freed:
            return None
        step_id = StepId(self._epoch, heapq.heappop(self._free_lanes), self._next_step)
        return self._sent(form_batch(step_id, chunks, self._slots.take_freed()))

    def complete(self, result: StepResult) -> list[Progress]:
        """Settles a step: tokens are appended to their logs, and exist from now on.

        The caller ends the sequences that are finished by it (`end`) before it asks for the next microbatch.
        Results of another epoch, of an unknown step, or that came before are dropped. Raises ClusterError for
        a result that does not answer its microbatch; nothing is settled then.
        """
        batch = self._in_flight.get(result.id)
        if batch is None:
            return []
        check_result(batch.microbatch, result)
        del self._in_flight[result.id]
        heapq.heappush(self._free_lanes, result.id.microbatch)
        return self._settled(batch, result)

    def end(self, request_id: int) -> Sequence | None:
        """Removes a sequence, finished or cancelled, waiting or running or in flight; None if there is none.

        Its slot is free at once. If its rows are still under way, they come before the freeing at every
        stage, and their result is dropped.
        """
        sequence = self._waiting.pop(request_id, None) or self._running.pop(request_id, None)
        if sequence is None:
            return None
        if sequence.slot is not None:
            self._slots.release(sequence.slot, holds_rows=sequence.num_computed + sequence.num_in_flight > 0)
        if sequence in self._ready:
            self._ready.remove(sequence)
        sequence.slot, sequence.state = None, State.ENDED
        return sequence

    def abandon(self) -> None:
        """Drops all sequences and all that is in flight: the stages have lost their KV."""
        for sequence in (*self._waiting.values(), *self._running.values()):
            sequence.slot, sequence.state = None, State.ENDED
        self._waiting.clear()
        self._running.clear()
        self._ready.clear()
        self._in_flight.clear()
        self._free_lanes = list(range(self._limits.max_in_flight))
        self._slots.clear()

    def reset(self, epoch: int) -> None:
        """Starts a newer epoch, with all slots empty and nothing in flight."""
        assert epoch > self._epoch, f"reset: epoch {epoch} is not newer than {self._epoch}"
        self.abandon()
        self._epoch, self._next_step = epoch, 0

    def _admit(self, now_s: float) -> None:
        while self._waiting and self._slots.num_free:
            sequence = self._waiting.pop(next(iter(self._waiting)))
            sequence.slot, sequence.state, sequence.admitted_s = self._slots.allocate(), State.RUNNING, now_s
            self._running[sequence.request_id] = sequence
            self._ready.append(sequence)

    def _share(self) -> int:
        """Most sequences of the next microbatch: an even share of all, leaving some for each free lane.

        It is no more than the rows of a microbatch, so that the prompts among them get at least one row.
        """
        even = _ceil_div(len(self._running), self._limits.max_in_flight)
        return min(even, _ceil_div(len(self._ready), len(self._free_lanes)), self._limits.max_batch_tokens)

    def _sent(self, batch: Batch) -> Microbatch:
        self._next_step += 1
        self._in_flight[batch.microbatch.id] = batch
        for chunk in batch.chunks:
            assert chunk.end <= self._limits.context_length, "a sequence outgrew its context"
            chunk.sequence.num_in_flight = chunk.num_rows
            chunk.sequence.sampling_sent |= chunk.draws
        self._ready = [sequence for sequence in self._ready if not sequence.num_in_flight]
        return batch.microbatch

    def _settled(self, batch: Batch, result: StepResult) -> list[Progress]:
        sampled_by_slot = {sampled.slot: sampled for sampled in result.sampled}
        progress: list[Progress] = []
        logits_row = 0
        for chunk in batch.chunks:
            sequence, logits_first = chunk.sequence, logits_row
            logits_row += chunk.num_logits_rows
            if sequence.state is State.ENDED:
                continue
            assert sequence.slot is not None
            sampled = sampled_by_slot.get(sequence.slot)
            sequence.num_computed, sequence.num_in_flight = chunk.end, 0
            if sampled is not None:
                sequence.log.append(sampled.token)
                progress.append(Progress(sequence, sampled))
            elif chunk.num_logits_rows and result.logits is not None:
                rows = result.logits[logits_first:logits_row]
                progress.append(Progress(sequence, logits=rows, first=chunk.first))
            if sequence.num_remaining:
                self._ready.append(sequence)
        return progress


def _ceil_div(total: int, parts: int) -> int:
    return -(-total // parts)

"""Scheduler: which rows go into the next microbatch, and what a finished step means for its sequences."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence as Items

from cluster.api.errors import CapacityError, UsageError
from cluster.engine.batch import Batch, Chunk, check_result, choose_neighbours, form_batch, next_row
from cluster.engine.cost.model import DecodePlan, StepCostModel
from cluster.engine.cost.predictor import StepTimePredictor
from cluster.engine.limits import Limits
from cluster.engine.outcome import StepOutcome
from cluster.engine.prompts import Prompts
from cluster.engine.sequence import Sequence, State
from cluster.engine.slots import Slots
from cluster.engine.text.finish import finish_after
from cluster.messages.stage import StageCosts
from cluster.messages.step import Microbatch, SlotStart, StepId, StepResult, StepTiming

_MOST_PATIENCE = 5  # times what is waited for one more, however many come
_LEAST_WAIT_S = 1e-5


class Scheduler:
    """Continuous batching over a pipeline: requests join and leave at any step.

    Sequences that are being decoded are spread evenly over as many microbatches as `StepCostModel` finds best, one for
    each stage at most, each sequence in one of them. Chunks of prompts go in microbatches of their own,
    between these, several in flight if there is room. Not thread safe; holds no clock.

    A microbatch that would be the only one on its way is followed by another before it is answered, so that the
    stages need not wait for us: its tokens may be such that the one before has yet to sample. What a sequence that ends
    there computes in the second is lost, and dropped.

    The stages promise: microbatches are run in the order in which they were returned here, and after the step that
    they name; each gets exactly one StepResult; and all slots are empty when a new epoch begins.
    """

    def __init__(self, limits: Limits, epoch: int = 0) -> None:
        self._limits = limits
        self._costs = StepCostModel(limits.num_stages, limits.max_batch_tokens)
        self._step_times = StepTimePredictor()
        self._slots = Slots(limits.num_slots)
        self._prompts = Prompts(self._slots, limits.max_logits_rows, can_reuse=limits.can_truncate)
        self._running: dict[int, Sequence] = {}  # by request id; all that have a slot
        self._sampled: list[Sequence] = []  # have a new token to compute, and are in no microbatch; longest first
        self._epoch = epoch
        self._next_step = 0
        self._decoded_last = False
        self._arrivals_s: list[float] = []  # first and last of those that came since a microbatch was sent
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
        return self._prompts.num_waiting

    @property
    def num_in_flight(self) -> int:
        """Microbatches that have been handed out and not answered."""
        return len(self._in_flight)

    def add(self, sequence: Sequence, now_s: float = -math.inf) -> Sequence | None:
        """Queues a sequence. Raises UsageError (prompt empty or too long) or CapacityError (queue full).

        Returns the one that had to leave a full queue for it: the newest of the client that has most.
        """
        num_tokens, context_length = sequence.num_tokens, self._limits.context_length
        if num_tokens == 0:
            raise UsageError("prompt: it has no tokens; give at least one")
        if num_tokens > context_length:
            raise UsageError(
                f"prompt: {num_tokens} tokens, but the context holds {context_length}; "
                "shorten it, or start the cluster with a larger context"
            )
        displaced = None
        if self.num_waiting >= self._limits.max_waiting + self._slots.num_free:
            displaced = self._prompts.gives_way_to(sequence.client, self._running.values())
            if displaced is None:
                raise self.queue_full()
            self.end(displaced.request_id)
        self._prompts.add(sequence)
        self._arrivals_s = [*self._arrivals_s[:1], now_s]
        return displaced

    def queue_full(self) -> CapacityError:
        """What a request is told that there is no place for."""
        return CapacityError(
            f"queue: full, with {self._slots.num_used} requests running and {self.num_waiting} waiting; try again later"
        )

    def hold_s(self, now_s: float) -> float:
        """How long `next_batch` holds back what it could send, if nothing happens; 0 if it does not.

        Requests that come close together to idle stages begin together. A step goes behind another shortly before
        that ends: those who come until then need not wait for both.
        """
        return min(filter(None, (self._gathers_s(now_s), self._follows_s(now_s))), default=0.0)

    def learn(self, timing: StepTiming) -> None:
        """What a step took on a stage, to choose later ones by."""
        self._costs.learn(timing)

    def next_batch(self, now_s: float) -> Microbatch | None:
        """The microbatch to send now; None when there is no lane for it, or nothing to send.

        While a microbatch is in flight that was promised to be alone, one may follow it that is so too.
        """
        if not self._free_lanes or (self._is_exclusive and len(self._in_flight) > 1) or self._gathers_s(now_s):
            return None
        num_decoding = sum(sequence.num_generated > 0 for sequence in self._running.values())
        plan = self._costs.decode_plan(num_decoding)
        if plan.alone and self._decoded_last:  # they take turns
            return self._next_prompt(plan, num_decoding, now_s) or self._next_decode(plan, num_decoding, now_s)
        return self._next_decode(plan, num_decoding, now_s) or self._next_prompt(plan, num_decoding, now_s)

    def complete(self, result: StepResult, now_s: float) -> list[StepOutcome]:
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
        self._step_times.answered(batch.kind, batch.sent_s, now_s)
        return self._settled(batch, result)

    def end(self, request_id: int, *, is_held: bool = True) -> Sequence | None:
        """Removes a sequence, finished or cancelled, waiting or running or in flight; None if there is none.

        `is_held`: the stages hold its rows, for others to start from.

        Its slot is free at once. If its rows are still under way, they come before those of the slot's next
        sequence at every stage, and their result is dropped.
        """
        sequence = self._prompts.remove(request_id)
        running = self._running.pop(request_id, None)
        if running is not None:
            sequence = running
            assert running.slot is not None
            self._slots.release(running.slot, running.log[: running.num_sent] if is_held else ())
            if running in self._sampled:
                self._sampled.remove(running)
        if sequence is not None:
            sequence.slot, sequence.state = None, State.ENDED
        return sequence

    def abandon(self) -> None:
        """Drops all sequences and all that is in flight: the stages have lost their KV."""
        for sequence in (*self._prompts.clear(), *self._running.values()):
            sequence.slot, sequence.state = None, State.ENDED
        self._running.clear()
        self._sampled.clear()
        self._in_flight.clear()
        self._step_times.forget()
        self._free_lanes = list(range(self._limits.max_in_flight))
        self._slots.clear()

    def reset(self, epoch: int, costs: Items[StageCosts] = ()) -> None:
        """Starts a newer epoch, with all slots empty and nothing in flight."""
        assert epoch > self._epoch, f"reset: epoch {epoch} is not newer than {self._epoch}"
        self.abandon()
        self._costs.begin(costs)
        self._epoch, self._next_step = epoch, 0

    @property
    def _is_exclusive(self) -> bool:
        return any(batch.microbatch.exclusive for batch in self._in_flight.values())

    def _gathers_s(self, now_s: float) -> float:
        if self._running or not self._arrivals_s or not self._prompts.are_pending:
            return 0.0
        patience_s = self._costs.patience_s
        first_s, last_s = self._arrivals_s[0], self._arrivals_s[-1]
        return _wait_s(min(last_s + patience_s, first_s + _MOST_PATIENCE * patience_s), now_s)

    def _follows_s(self, now_s: float) -> float:
        if len(self._in_flight) != 1:
            return 0.0
        (batch,) = self._in_flight.values()
        guess_s = self._costs.step_s(batch.microbatch.num_rows, alone=batch.microbatch.exclusive)
        return _wait_s(self._step_times.follow_s(batch.kind, batch.sent_s, guess_s), now_s)

    def _next_decode(self, plan: DecodePlan, num_decoding: int, now_s: float) -> Microbatch | None:
        ready, num_lanes_left = self._sampled, plan.num_lanes - sum(batch.decodes for batch in self._in_flight.values())
        can_follow = len(self._in_flight) == 1 and (self._is_exclusive or not self._prompts.are_pending)
        if can_follow and not self._follows_s(now_s):
            everyone = [*ready, *self._being_sampled()]
            following = self._costs.decode_plan(len(everyone))
            if following.num_lanes == 1:
                plan, ready, num_lanes_left, num_decoding = following, everyone, 1, len(everyone)
        if not ready or num_lanes_left <= 0 or (self._is_exclusive and not plan.alone):
            return None
        share = min(math.ceil(num_decoding / plan.num_lanes), math.ceil(len(ready) / num_lanes_left))
        chosen = choose_neighbours(ready, min(share, self._limits.max_batch_tokens))
        return self._sent([next_row(sequence) for sequence in chosen], (), now_s, decodes=True, exclusive=plan.alone)

    def _being_sampled(self) -> list[Sequence]:
        """Sequences of the microbatch in flight that will, as far as counts tell, go on with the token it samples."""
        (batch,) = self._in_flight.values()
        return [chunk.sequence for chunk in batch.chunks if chunk.samples and self._goes_on(chunk.sequence)]

    def _goes_on(self, sequence: Sequence) -> bool:
        if sequence.state is State.ENDED or sequence.params is None:
            return False
        num_generated, num_tokens = sequence.num_generated + 1, sequence.num_tokens + 1
        return finish_after(sequence.params, num_generated, num_tokens, self._limits.context_length) is None

    def _next_prompt(self, decode: DecodePlan, num_decoding: int, now_s: float) -> Microbatch | None:
        num_in_flight = sum(not batch.decodes for batch in self._in_flight.values())
        if not self._prompts.are_pending or num_in_flight >= self._max_chunks(decode, num_decoding):
            return None
        running = self._running.values()
        plan = self._costs.prompt_plan(self._prompts.unsent(running), self._prompts.position(running), num_decoding)
        if self._is_exclusive and not plan.alone:
            return None
        chunks, starts = self._prompts.cut(plan.num_rows, running, now_s)
        if not chunks:
            return None
        self._running.update((chunk.sequence.request_id, chunk.sequence) for chunk in chunks)
        return self._sent(chunks, starts, now_s, decodes=False, exclusive=plan.alone)

    def _max_chunks(self, decode: DecodePlan, num_decoding: int) -> int:
        """Chunks that may be in flight: what keeps the stages busy, but no more than one a round if others wait."""
        if not self._limits.pipeline_prompts:
            return 1
        if not num_decoding:
            return self._limits.max_in_flight
        return max(1, self._limits.num_stages - decode.num_lanes)

    def _sent(
        self, chunks: Items[Chunk], starts: tuple[SlotStart, ...], now_s: float, *, decodes: bool, exclusive: bool
    ) -> Microbatch:
        step_id = StepId(self._epoch, heapq.heappop(self._free_lanes), self._next_step)
        after = max((other.step for other in self._in_flight), default=None)
        batch = form_batch(step_id, chunks, starts, decodes=decodes, exclusive=exclusive, after=after, sent_s=now_s)
        self._next_step += 1
        self._decoded_last = batch.decodes
        self._arrivals_s = []
        self._in_flight[step_id] = batch
        for chunk in chunks:
            assert chunk.end <= self._limits.context_length, "a sequence outgrew its context"
            chunk.sequence.num_in_flight += chunk.num_rows
            chunk.sequence.sampling_sent |= chunk.samples
        self._sampled = [sequence for sequence in self._sampled if not sequence.num_in_flight]
        if not batch.decodes:
            position = sum((chunk.first + chunk.end) / 2 * chunk.num_rows for chunk in chunks)
            num_rows = batch.microbatch.num_rows
            self._costs.sent(step_id, num_rows, position / num_rows, alone=exclusive)
        return batch.microbatch

    def _settled(self, batch: Batch, result: StepResult) -> list[StepOutcome]:
        sampled_by_slot = {sampled.slot: sampled for sampled in result.sampled}
        failed_by_slot = {failure.slot: failure for failure in result.failures}
        outcomes: list[StepOutcome] = []
        logits_row = 0
        for chunk in batch.chunks:
            sequence, logits_first = chunk.sequence, logits_row
            logits_row += chunk.num_logits_rows
            if sequence.state is State.ENDED:
                continue
            assert sequence.slot is not None
            sequence.num_computed = chunk.end
            sequence.num_in_flight -= chunk.num_rows
            if (failure := failed_by_slot.get(sequence.slot)) is not None:
                outcomes.append(StepOutcome(sequence, failure=failure))
            elif chunk.samples:
                sampled = sampled_by_slot[sequence.slot]
                sequence.log.append(sampled.token)
                if sequence.num_unsent:  # else its row is under way
                    self._sampled.append(sequence)
                outcomes.append(StepOutcome(sequence, sampled))
            elif chunk.num_logits_rows and result.logits is not None:
                rows = result.logits[logits_first:logits_row]
                outcomes.append(StepOutcome(sequence, logits=rows, first=chunk.first))
        return outcomes


def _wait_s(until_s: float, now_s: float) -> float:
    return until_s - now_s if until_s > now_s + _LEAST_WAIT_S else 0.0

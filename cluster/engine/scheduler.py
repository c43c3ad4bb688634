"""Scheduler: which rows go into the next microbatch, and what a finished step means for its sequences."""

from __future__ import annotations

import math
from collections.abc import Sequence as Items

from cluster.api.errors import CapacityError
from cluster.engine.admission import Admission
from cluster.engine.batch import Batch
from cluster.engine.chunk import Chunk, next_row, next_run
from cluster.engine.cost.model import StepCostModel
from cluster.engine.cost.tuning import LEAST_WAIT_S
from cluster.engine.drafting.drafter import Drafter
from cluster.engine.drafting.speculation import Speculation
from cluster.engine.flight import Flight
from cluster.engine.limits import Limits
from cluster.engine.neighbours import choose_neighbours, of_first
from cluster.engine.outcome import StepOutcome, settle
from cluster.engine.policy import Decode, Prefill, Situation, is_full, next_steps
from cluster.engine.prompts import Prompts
from cluster.engine.remains import Remains, Replay, what_remains
from cluster.engine.restoring import Restoring
from cluster.engine.sequence import SUSPICIOUS_LOSSES, Sequence, State
from cluster.engine.slots import Slots
from cluster.engine.text.finish import finish_after
from cluster.messages.stage import Holdings, StageCosts
from cluster.messages.step import Microbatch, SlotStart, StepResult, StepTiming


class Scheduler:
    """Continuous batching over a pipeline: requests join and leave at any step.

    It owns the sequences and carries out what `policy` chooses. Not thread safe; holds no clock.

    A microbatch that would be the only one on its way is followed by another before it is answered, so that the
    stages need not wait for us: its tokens may be such that the one before has yet to sample. What a sequence that
    ends there computes in the second is lost, and dropped.

    The stages promise: microbatches are run in the order in which they were returned here, and after the step that
    they name; each gets exactly one StepResult; and what slots hold when a new epoch begins is what they say.
    """

    def __init__(self, limits: Limits, epoch: int = 0, drafter: Drafter | None = None) -> None:
        """`drafter` guesses tokens ahead, where slots can go back to an earlier token; None: nothing is guessed."""
        self._limits = limits
        self._costs = StepCostModel(limits.num_stages, limits.max_batch_tokens)
        self.speculation = Speculation(drafter, limits, self._costs)
        self._slots = Slots(limits.num_slots)
        self._prompts = Prompts(self._slots, limits)
        self._admission = Admission(limits, self._slots, self._prompts)
        self._flight = Flight(limits.max_in_flight, epoch)
        self._running: dict[int, Sequence] = {}  # by request id; all that have a slot
        self._ready: list[Sequence] = []  # have a new token to compute, and are in no microbatch; longest idle first
        self._decoded_last = False
        self._suspects: list[Sequence] = []  # may be what the stages die of
        self._restoring = Restoring(limits)
        self._held_since = epoch  # the newest epoch of which a step was answered

    @property
    def epoch(self) -> int:
        return self._flight.epoch

    @property
    def num_slots_used(self) -> int:
        return self._slots.num_used

    @property
    def num_waiting(self) -> int:
        return self._prompts.num_waiting

    @property
    def num_in_flight(self) -> int:
        """Microbatches that have been handed out and not answered."""
        return self._flight.num_in_flight

    def add(self, sequence: Sequence, now_s: float = -math.inf) -> Sequence | None:
        """Queues a sequence. Raises UsageError (prompt empty or too long) or CapacityError (queue full).

        Returns the one that had to leave a full queue for it: the newest of the client that has most.
        """
        return self._admission.add(sequence, self._running.values(), now_s)

    def queue_full(self) -> CapacityError:
        """What a request is told that there is no place for."""
        return self._admission.queue_full()

    def hold_s(self, now_s: float) -> float:
        """How long `next_batch` holds back what it could send, if nothing happens; 0 if it does not.

        Requests that come close together to idle stages begin together. A step goes behind another shortly before
        that ends: those who come until then need not wait for both. Guesses that another process makes are waited for.
        """
        held = (self._admit_in_s(now_s), self._issue_in_s(now_s), self.speculation.hold_s())
        return min(filter(None, held), default=0.0)

    def learn(self, timing: StepTiming) -> None:
        """What a step took on a stage, to choose later ones by."""
        self._costs.learn(timing)

    def next_batch(self, now_s: float) -> Microbatch | None:
        """The microbatch to send now; None when there is no lane for it, or nothing to send, or all is held back."""
        if is_full(self._flight.num_in_flight, self._flight.is_exclusive, self._limits):
            return None
        if self._restoring:
            return self._sent_again(now_s)
        if self._suspects and (suspect := self._suspect()) is not None:
            return None if self._flight.num_in_flight else self._sent_alone(suspect, now_s)
        if (run := self._next_run(now_s)) is not None:
            return run
        issue_in_s = self._issue_in_s(now_s)
        going_on = [] if issue_in_s else self._going_on()
        is_drafting = self._is_drafting(going_on)
        if is_drafting:
            going_on = []
        waits = self.speculation.holds(self._ready, self._num_decoding)
        ready_now: list[Sequence] = [] if waits else self._ready
        if not ready_now and not going_on and not self._prompts.are_pending:
            return None
        now = self._situation(len(ready_now), len(going_on), issue_in_s, now_s, is_drafting=is_drafting)
        for step in next_steps(now, self._costs, self._limits):
            starts: tuple[SlotStart, ...] = ()
            if isinstance(step, Decode):
                ready = [*ready_now, *going_on] if step.is_ahead else ready_now
                step, chunks = self._rows_of(choose_neighbours(of_first(ready), step.num_sequences), step)
            else:
                chunks, starts = self._prompts.cut(step.num_rows, self._running.values(), now_s)
            if chunks:
                return self._sent(step, chunks, starts, now_s)
        return None

    def _next_run(self, now_s: float) -> Microbatch | None:
        """What goes behind the guesses under way as if they were right; None where nothing does.

        The only sequence that decodes has what others leave: prompts go first.
        """
        if not self._flight.num_in_flight or self._ready or not self._may_have_runs:
            return None
        sequence = next(sequence for sequence in self._running.values() if sequence.num_generated)
        if not sequence.num_runs or sequence.num_sent != sequence.num_tokens + len(sequence.ahead):
            return None  # a token is under way that is not even guessed
        chain = self.speculation.chain(sequence)
        if chain is None or self._flight.num_in_flight >= chain.num_runs:
            return None
        draft = self.speculation.run(sequence, chain.length + 1)
        if not draft:
            return None
        step = Decode(1, exclusive=False, max_draft=chain.length)
        return self._sent(step, [next_run(sequence, draft, chain.num_runs)], (), now_s)

    @property
    def _may_have_runs(self) -> bool:
        """Several drafts may be under way at a time: one sequence decodes, and nothing else is to be computed."""
        is_free = self._limits.max_runs > 1 and not self._flight.is_exclusive and not self._prompts.are_pending
        return is_free and self._num_decoding == 1

    def complete(self, result: StepResult, now_s: float) -> list[StepOutcome]:
        """Settles a step: tokens are appended to their logs, and exist from now on.

        The caller ends the sequences that are finished by it (`end`) before it asks for the next microbatch.
        Results of another epoch, of an unknown step, or that came before are dropped. Raises ClusterError for
        a result that does not answer its microbatch; nothing is settled then.
        """
        batch = self._flight.take(result, now_s)
        if batch is None:
            return []
        self._held_since = self.epoch
        self.speculation.answered(batch, self._flight.took_s, now_s - batch.sent_s)
        outcomes = settle(batch, result)
        self.speculation.count(outcomes)
        # The row of a token may be under way already.
        self._ready += [found.sequence for found in outcomes if found.sampled and found.sequence.num_unsent]
        return outcomes

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
            self._slots.release(running.held_slot, running.log[: running.num_sent] if is_held else ())
            if running in self._ready:
                self._ready.remove(running)
            self._restoring.remove(request_id)
        if sequence is not None:
            self.speculation.end(request_id)
            sequence.slot, sequence.state = None, State.ENDED
        return sequence

    def interrupt(self, *, is_loss: bool = True) -> None:
        """The epoch is over: nothing will be answered that is under way. Who has a slot keeps it until `reset`.

        `is_loss`: stages died, maybe of what is under way.
        """
        for sequence in self._running.values():
            sequence.interrupt(is_loss=is_loss)
        self._flight.clear()
        self._ready.clear()

    def reset(
        self,
        epoch: int,
        costs: Items[StageCosts] = (),
        holdings: Items[Holdings | None] = (),
        *,
        nobody_died: bool = False,
    ) -> Replay:
        """Starts a newer epoch, with nothing in flight. What is computed again, by some stages or all.

        `holdings`: of each stage, None of one that does not tell; () if nothing is known. Where stages were lost, that
        was told before; `nobody_died`: for no fault of theirs.
        """
        assert epoch > self.epoch, f"reset: epoch {epoch} is not newer than {self.epoch}"
        self.interrupt(is_loss=False)
        if nobody_died:
            for sequence in self._running.values():
                sequence.acquit()
        replay = self._take_up(what_remains(holdings, self._held_since, self.epoch, self._limits.num_slots))
        self._costs.begin(costs)
        self.speculation.pace.forget()
        self._flight.begin(epoch)
        return replay

    def _take_up(self, remains: Remains | None) -> Replay:
        """Every sequence goes on from what the stages hold of it, or waits to be computed whole, before all others."""
        waiting = self._prompts.clear()
        again = [sequence for sequence in self._running.values() if not self._goes_on_from(remains, sequence)]
        num_whole = sum(sequence.num_computed for sequence in again)
        for sequence in again:
            del self._running[sequence.request_id]
            self._slots.release(sequence.held_slot, ())
            sequence.rewind()
        self._slots.forget_free()
        for sequence in (*again, *waiting):
            self._prompts.add(sequence)
        self._suspects = [sequence for sequence in (*again, *waiting) if _is_suspect(sequence)]
        self._restoring.clear()
        if remains is None or not remains.lost:
            for sequence in self._running.values():
                self._go_on(sequence)
            return Replay(num_whole)
        num_given = sum(sequence.num_computed for sequence in self._running.values())
        for sequence in self._running.values():
            sequence.restore(knows_sampling=self._limits.num_stages - 1 not in remains.lost)
        self._restoring.begin(remains.lost, self._running.values())
        return Replay(num_whole, num_given, remains.lost)

    def _goes_on_from(self, remains: Remains | None, sequence: Sequence) -> bool:
        if remains is None or _is_suspect(sequence) or not sequence.outlives_epochs:
            return False
        can_go_back = self._limits.can_truncate or not sequence.has_surplus
        return can_go_back and remains.covers(sequence.held_slot, sequence.num_computed)

    def _go_on(self, sequence: Sequence) -> None:
        """The stages hold what was computed of it, or will, before whatever is sent next."""
        if sequence.num_generated and sequence.num_unsent == 1:
            self._ready.append(sequence)
        else:
            self._prompts.resume(sequence)

    def _sent_again(self, now_s: float) -> Microbatch:
        """What stages lost. One that is given its rows alone has the cores of the others."""
        chunks, starts, whole = self._restoring.cut()
        stages = self._restoring.stages
        step = Prefill(self._limits.max_batch_tokens, exclusive=len(stages) == 1)
        sent = self._sent(step, chunks, starts, now_s, restores=stages)
        for sequence in whole:
            self._go_on(sequence)
        return sent

    def _situation(
        self, num_ready: int, num_going_on: int, issue_in_s: float, now_s: float, *, is_drafting: bool
    ) -> Situation:
        flight, running = self._flight, self._running.values()
        due = self._prompts.due(running) if self._prompts.are_pending else ()
        return Situation(
            num_decodes=flight.num_decodes,
            num_prefills=flight.num_in_flight - flight.num_decodes - flight.num_guessed,
            num_guessed=flight.num_guessed,
            is_drafting=is_drafting,
            is_exclusive=flight.is_exclusive,
            decoded_last=self._decoded_last,
            num_decoding=self._num_decoding,
            num_ready=num_ready,
            num_going_on=num_going_on,
            is_replaying=any(sequence.num_generated for sequence in due),
            unsent=[sequence.num_unsent for sequence in due],
            position=due[0].num_sent if due else 0,
            admit_in_s=self._admit_in_s(now_s),
            issue_in_s=issue_in_s,
        )

    def _admit_in_s(self, now_s: float) -> float:
        if self._running or not self._admission.is_gathering:
            return 0.0
        return _wait_s(self._admission.begin_at_s(self._costs.admission_delay_s), now_s)

    def _issue_in_s(self, now_s: float) -> float:
        return _wait_s(self._flight.issue_at_s(self._costs), now_s)

    def _going_on(self) -> list[Sequence]:
        """Sequences of the only microbatch in flight that will, as far as counts tell, go on with what it samples.

        Where that is more than one token, nobody knows yet with which.
        """
        batch = self._flight.only
        if batch is None or batch.is_guessed:
            return []
        return [chunk.sequence for chunk in batch.chunks if chunk.num_samples == 1 and self._goes_on(chunk.sequence)]

    @property
    def _num_decoding(self) -> int:
        return len([sequence for sequence in self._running.values() if sequence.num_generated])

    def _is_drafting(self, going_on: Items[Sequence]) -> bool:
        batch = self._flight.only
        if batch is None or not going_on:
            return False
        exclusive = batch.microbatch.exclusive
        return self.speculation.waits_for(going_on, self._num_decoding, exclusive=exclusive)

    def _rows_of(self, chosen: Items[Sequence], step: Decode) -> tuple[Decode, list[Chunk]]:
        """What is sent as `step`: other stages compute beside one whose guesses are followed by more."""
        chain = self.speculation.chain(chosen[0]) if self._may_have_runs and not step.is_ahead else None
        if chain is not None:
            draft = self.speculation.run(chosen[0], chain.length)
            return step._replace(exclusive=False), [next_row(chosen[0], draft, chain.num_runs)]
        most = 0 if step.is_ahead else step.max_draft
        drafts = self.speculation.drafts(chosen, most, self._num_decoding, exclusive=step.exclusive)
        return step, [next_row(sequence, draft) for sequence, draft in zip(chosen, drafts, strict=True)]

    def _goes_on(self, sequence: Sequence) -> bool:
        if sequence.state is State.ENDED or sequence.params is None:
            return False
        num_generated, num_tokens = sequence.num_generated + 1, sequence.num_tokens + 1
        return finish_after(sequence.params, num_generated, num_tokens, self._limits.context_length) is None

    def _suspect(self) -> Sequence | None:
        """One that has to be alone with the stages until it has a token: if they die then, nobody else was there."""
        self._suspects = [sequence for sequence in self._suspects if _is_suspect(sequence)]
        return next(iter(self._suspects), None)

    def _sent_alone(self, sequence: Sequence, now_s: float) -> Microbatch:
        step = Prefill(self._limits.max_batch_tokens, exclusive=False)
        chunks, starts = self._prompts.cut_alone(sequence, step.num_rows, self._running.values(), now_s)
        return self._sent(step, chunks, starts, now_s)

    def _sent(
        self,
        step: Decode | Prefill,
        chunks: Items[Chunk],
        starts: tuple[SlotStart, ...],
        now_s: float,
        restores: tuple[int, ...] = (),
    ) -> Microbatch:
        decodes = isinstance(step, Decode)
        batch = self._flight.send(chunks, starts, now_s, decodes=decodes, exclusive=step.exclusive, restores=restores)
        assert max([chunk.end for chunk in chunks]) <= self._limits.context_length, "a sequence outgrew its context"
        self._admission.begun()
        self._decoded_last, sent = decodes, batch.microbatch
        if decodes:
            gone = {chunk.sequence for chunk in chunks}  # others may have rows under way that are given back to stages
            self._ready = [sequence for sequence in self._ready if sequence not in gone]
        elif not restores:
            self._running.update((chunk.sequence.request_id, chunk.sequence) for chunk in chunks)
            self._costs.sent(sent.id, sent.num_rows, _mean_position(batch), exclusive=step.exclusive)
        return sent


def _is_suspect(sequence: Sequence) -> bool:
    return sequence.num_losses >= SUSPICIOUS_LOSSES and sequence.state is not State.ENDED


def _mean_position(batch: Batch) -> float:
    """Where its rows are in their sequences."""
    position = sum((chunk.first + chunk.end) / 2 * chunk.num_rows for chunk in batch.chunks)
    return position / batch.microbatch.num_rows


def _wait_s(until_s: float, now_s: float) -> float:
    return until_s - now_s if until_s > now_s + LEAST_WAIT_S else 0.0

"""Flight: the microbatches under way, each with a lane of its own until it is answered."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence as Items

from cluster.engine.batch import Batch, check_result, form_batch
from cluster.engine.chunk import Chunk
from cluster.engine.cost.model import StepCostModel
from cluster.engine.cost.predictor import StepTimePredictor
from cluster.messages.step import SlotStart, StepId, StepResult


class Flight:
    """Numbers the steps of an epoch, and knows when the one under way is likely to end. Holds no clock."""

    def __init__(self, max_in_flight: int, epoch: int) -> None:
        self._max_in_flight = max_in_flight
        self._in_flight: dict[StepId, Batch] = {}
        self._step_times = StepTimePredictor()
        self.begin(epoch)

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def num_in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def num_decodes(self) -> int:
        """The microbatches whose rows are new tokens, and guesses behind them."""
        return self._num_decodes

    @property
    def num_guessed(self) -> int:
        """Those of which all rows are guesses, behind others that are or were under way."""
        return self._num_guessed

    @property
    def is_exclusive(self) -> bool:
        """One of them was promised that no stage computes beside it."""
        return self._num_exclusive > 0

    @property
    def only(self) -> Batch | None:
        """The one that is under way, if there is just one."""
        return next(iter(self._in_flight.values())) if len(self._in_flight) == 1 else None

    @property
    def took_s(self) -> float:
        """What the step took that was answered last, since it was sent or the one before it was answered."""
        return self._step_times.took_s

    def issue_at_s(self, costs: StepCostModel) -> float:
        """When another one is to go behind the only one: in time for its end; -inf if there is not just one."""
        batch = self.only
        if batch is None:
            return -math.inf
        guess_s = costs.step_s(batch.microbatch.num_rows, exclusive=batch.microbatch.exclusive)
        return self._step_times.issue_at_s(batch.kind, batch.sent_s, guess_s)

    def begin(self, epoch: int) -> None:
        """Starts a newer epoch, or the first one."""
        self._epoch, self._next_step = epoch, 0
        self.clear()

    def clear(self) -> None:
        """Nothing that is under way will be answered."""
        self._in_flight.clear()
        # Counted: they are asked for with every step.
        self._num_decodes = self._num_guessed = self._num_exclusive = 0
        self._free_lanes = list(range(self._max_in_flight))
        self._step_times.forget()

    def send(
        self,
        chunks: Items[Chunk],
        starts: tuple[SlotStart, ...],
        now_s: float,
        *,
        decodes: bool,
        exclusive: bool,
        restores: tuple[int, ...] = (),
    ) -> Batch:
        """Forms the next microbatch, behind all others. A lane must be free.

        It begins by taking back what the stages hold of its sequences that does not count, unless it is to give some
        of them what they lost.
        """
        step_id = StepId(self._epoch, heapq.heappop(self._free_lanes), self._next_step)
        after = max((other.step for other in self._in_flight), default=None)
        if not restores:
            starts += tuple([_cut_back(chunk) for chunk in chunks if chunk.sequence.has_surplus])
        batch = form_batch(
            step_id,
            chunks,
            starts,
            decodes=decodes,
            exclusive=exclusive,
            after=after,
            sent_s=now_s,
            restores=restores,
            follows_runs=self._num_guessed > 0,
        )
        self._next_step += 1
        self._in_flight[step_id] = batch
        self._num_decodes += decodes and not batch.is_guessed
        self._num_guessed += batch.is_guessed
        self._num_exclusive += exclusive
        for chunk in chunks:
            sequence = chunk.sequence
            sequence.num_in_flight += chunk.end - chunk.first
            sequence.num_runs += decodes
            sequence.ahead += chunk.draft
            if not restores:
                sequence.has_surplus = False
            if chunk.needs_sampling:
                sequence.sampling_sent = True
        return batch

    def take(self, result: StepResult, now_s: float) -> Batch | None:
        """The batch that is answered; None for a result of another epoch, of an unknown step, or that came before.

        Raises ClusterError for a result that does not answer its microbatch, which stays under way then.
        """
        batch = self._in_flight.get(result.id)
        if batch is None:
            return None
        check_result(batch.microbatch, result)
        del self._in_flight[result.id]
        self._num_decodes -= batch.decodes and not batch.is_guessed
        self._num_guessed -= batch.is_guessed
        self._num_exclusive -= batch.microbatch.exclusive
        heapq.heappush(self._free_lanes, result.id.microbatch)
        self._step_times.answered(batch.kind, batch.sent_s, now_s)
        return batch


def _cut_back(chunk: Chunk) -> SlotStart:
    slot = chunk.sequence.held_slot
    return SlotStart(slot, slot, chunk.first)

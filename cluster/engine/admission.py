"""Admission: which requests may come in, and how long the first of some wait for those close behind them."""

from __future__ import annotations

from collections.abc import Collection

from cluster.api.errors import CapacityError, ContextOverflowError, UsageError
from cluster.engine.cost.tuning import MOST_ADMISSION_DELAYS
from cluster.engine.limits import Limits
from cluster.engine.prompts import Prompts
from cluster.engine.sequence import Sequence, State
from cluster.engine.slots import Slots


class Admission:
    """The bounds of a request and of the queue. Holds no clock."""

    def __init__(self, limits: Limits, slots: Slots, prompts: Prompts) -> None:
        self._limits = limits
        self._slots = slots
        self._prompts = prompts
        self._arrivals_s: tuple[float, ...] = ()  # first and last of those that came since a microbatch was sent

    def add(self, sequence: Sequence, running: Collection[Sequence], now_s: float) -> Sequence | None:
        """Queues a sequence. Raises UsageError (prompt empty or too long) or CapacityError (queue full).

        Returns the one that had to leave a full queue for it: the newest of the client that has most.
        """
        self._check_length(sequence)
        displaced = None
        has_place = sequence.num_generated > 0  # it had one when it began, under another engine
        if not has_place and self._prompts.num_waiting >= self._limits.max_waiting + self._slots.num_free:
            displaced = self._prompts.gives_way_to(sequence.client, running)
            if displaced is None:
                raise self.queue_full()
            self._prompts.remove(displaced.request_id)
            displaced.state = State.ENDED
        self._prompts.add(sequence)
        self._arrivals_s = (*self._arrivals_s[:1], now_s)
        return displaced

    def queue_full(self) -> CapacityError:
        """What a request is told that there is no place for."""
        return CapacityError(
            f"queue: full, with {self._slots.num_used} requests running and {self._prompts.num_waiting} waiting; "
            "try again later"
        )

    @property
    def is_gathering(self) -> bool:
        """Somebody came since a microbatch was sent, and could begin."""
        return bool(self._arrivals_s) and self._prompts.are_pending

    def begin_at_s(self, delay_s: float) -> float:
        """Until when those who are gathering at idle stages wait, each for `delay_s` for one more."""
        return min(self._arrivals_s[-1] + delay_s, self._arrivals_s[0] + MOST_ADMISSION_DELAYS * delay_s)

    def begun(self) -> None:
        """A microbatch was sent: who comes now comes to stages that are not idle."""
        self._arrivals_s = ()

    def _check_length(self, sequence: Sequence) -> None:
        num_tokens, context_length = sequence.num_tokens, self._limits.context_length
        if num_tokens == 0:
            raise UsageError("prompt: it has no tokens; give at least one")
        if num_tokens > context_length:
            raise ContextOverflowError.of("prompt", num_tokens, context_length)
        whole = max((len(one.rows) for one in sequence.pictures if one.non_causal), default=0)
        if whole > self._limits.max_batch_tokens:
            raise UsageError(
                f"prompt: a picture of {whole} rows, which see each other, so that they go into one microbatch; these "
                f"have at most {self._limits.max_batch_tokens} rows: start the cluster with a larger --ubatch-size"
            )

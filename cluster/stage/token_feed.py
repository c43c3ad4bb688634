"""What the last stage samples, for the first one, to which steps are sent before their tokens are known."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np

from cluster.api.errors import ClusterError
from cluster.messages.step import NO_ROWS, Microbatch, SampledStep


class TokenFeed:
    """The newest token of each slot, and how far the last stage is. `wait` and `fill` are for one thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._epoch: int | None = None
        self._is_over = False
        self._step: int | None = None  # that was answered last
        self._answered_ns = 0
        self._tokens: dict[int, int] = {}  # by slot

    def begin(self, epoch: int) -> None:
        """Forget all tokens: a new epoch begins. Whoever waits for a step of another one waits no more.

        Not once it has ended: who waits would never know.
        """
        with self._changed:
            self._begin(None if self._is_over else epoch)

    def end(self) -> None:
        """No step will ever be answered any more."""
        with self._changed:
            self._begin(None)
            self._is_over = True

    def take(self, sampled: SampledStep) -> None:
        """A step was answered; those of another epoch are dropped."""
        with self._changed:
            if sampled.id.epoch != self._epoch:
                return
            self._step, self._answered_ns = sampled.id.step, time.monotonic_ns()
            self._tokens.update(zip(sampled.slots.tolist(), sampled.tokens.tolist(), strict=True))
            self._changed.notify_all()

    def wait(self, batch: Microbatch) -> int | None:
        """Until the step that `batch` follows was answered: when that was; 0 if it follows none.

        None if that will never be, because the epoch is over.
        """
        after = batch.after
        if after is None:
            return 0
        with self._changed:
            self._changed.wait_for(lambda: self._epoch != batch.id.epoch or self._is_answered(after))
            return self._answered_ns if self._epoch == batch.id.epoch else None

    def fill(self, batch: Microbatch) -> Microbatch:
        """`batch` with the tokens that were pending, for all stages. ClusterError if a slot has none."""
        if batch.after is None:
            return batch
        tokens, slots = batch.tokens.tolist(), batch.slots.tolist()  # lists: an array's work costs more for a few rows
        for row in batch.pending.tolist():
            tokens[row] = self._newest(batch, slots[row])
        return replace(batch, tokens=np.array(tokens, np.int32), after=None, pending=NO_ROWS)

    def _begin(self, epoch: int | None) -> None:
        self._epoch, self._step = epoch, None
        self._tokens.clear()
        self._changed.notify_all()

    def _is_answered(self, step: int) -> bool:
        return self._step is not None and self._step >= step

    def _newest(self, batch: Microbatch, slot: int) -> int:
        token = self._tokens.get(slot)
        if token is None:
            raise ClusterError(f"step {batch.id.step}: slot {slot} has sampled no token; report a bug")
        return token

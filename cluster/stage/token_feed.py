"""What the last stage samples, for the first one, to which steps are sent before their tokens are known."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np

from cluster.api.errors import ClusterError
from cluster.messages.step import NO_STEP, PENDING, Microbatch, SampledStep

_NO_EPOCH = -1


class TokenFeed:
    """The newest token of each slot, and how far the last stage is. `wait` and `fill` are for one thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._epoch = _NO_EPOCH
        self._step = NO_STEP
        self._answered_ns = 0
        self._tokens: dict[int, int] = {}  # by slot

    def begin(self, epoch: int) -> None:
        """Forget all tokens: a new epoch begins. Whoever waits for a step of another one waits no more."""
        with self._changed:
            self._epoch, self._step = epoch, NO_STEP
            self._tokens.clear()
            self._changed.notify_all()

    def end(self) -> None:
        """No step will ever be answered any more."""
        self.begin(_NO_EPOCH)

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
        if batch.after == NO_STEP:
            return 0
        with self._changed:
            self._changed.wait_for(lambda: self._epoch != batch.id.epoch or self._step >= batch.after)
            return self._answered_ns if self._epoch == batch.id.epoch else None

    def fill(self, batch: Microbatch) -> Microbatch:
        """`batch` with the tokens that were still to be sampled, for all stages. ClusterError if a slot has none."""
        if batch.after == NO_STEP:
            return batch
        tokens = batch.tokens.tolist()
        for row, slot in enumerate(batch.slots.tolist()):
            if tokens[row] != PENDING:
                continue
            if slot not in self._tokens:
                raise ClusterError(f"step {batch.id.step}: slot {slot} has sampled no token; report a bug")
            tokens[row] = self._tokens[slot]
        return replace(batch, tokens=np.array(tokens, np.int32), after=NO_STEP)

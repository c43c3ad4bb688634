"""What the last stage samples, for the first one, to which steps are sent before their tokens are known."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np

from cluster.api.errors import ClusterError
from cluster.messages.step import NO_ROWS, Microbatch, SampledStep
from cluster.stage.polled import Polled
from cluster.wire.local.source import Source


class TokenFeed:
    """The newest token of each slot, and how far the last stage is. `wait` and `fill` are for one thread.

    That one reads what the last stage of this machine says itself: see `read_from`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._polled: Polled[SampledStep] = Polled()
        self._epoch: int | None = None
        self._is_over = False
        self._step: int | None = None  # that was answered last
        self._answered_ns = 0
        self._tokens: dict[int, int] = {}  # by slot

    def begin(self, epoch: int) -> None:
        """Forget all tokens: a new epoch begins. Whoever waits for a step of another one waits no more.

        Not once it has ended: who waits would never know.
        """
        with self._lock:
            self._begin(None if self._is_over else epoch)

    def end(self) -> None:
        """No step will ever be answered any more."""
        with self._lock:
            self._begin(None)
            self._is_over = True

    def read_from(self, source: Source[SampledStep]) -> None:
        """Have the thread that waits take what was sampled from it; until it is over."""
        self._polled.lend(source)

    def take(self, sampled: SampledStep) -> None:
        """A step was answered; those of another epoch are dropped."""
        self._add(sampled)
        self._polled.wake()

    def wait(self, batch: Microbatch) -> int | None:
        """Until the step that `batch` follows was answered: when that was; 0 if it follows none.

        None if that will never be, because the epoch is over.
        """
        self._add_all(self._polled.take())  # also what nobody waits for: a socket holds only so much
        after = batch.after
        if after is None:
            return 0
        while True:
            with self._lock:
                if self._epoch != batch.id.epoch:
                    return None
                if self._step is not None and self._step >= after:
                    return self._answered_ns
            self._add_all(self._polled.wait())

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
        self._polled.wake()

    def _add_all(self, sampled: list[SampledStep]) -> None:
        for one in sampled:
            self._add(one)

    def _add(self, sampled: SampledStep) -> None:
        with self._lock:
            if sampled.id.epoch == self._epoch:
                self._step, self._answered_ns = sampled.id.step, time.monotonic_ns()
                self._tokens.update(zip(sampled.slots.tolist(), sampled.tokens.tolist(), strict=True))

    def _newest(self, batch: Microbatch, slot: int) -> int:
        token = self._tokens.get(slot)
        if token is None:
            raise ClusterError(f"step {batch.id.step}: slot {slot} has sampled no token; report a bug")
        return token

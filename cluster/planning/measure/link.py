"""What the link to a stage costs: steps sent over the real wire to an `Echo`, which only says that it has them."""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from cluster.api.errors import ClusterError, UnreachableError
from cluster.messages.step import Float32Array, Microbatch, StepId
from cluster.node.child import Child
from cluster.node.secret import Secret
from cluster.planning.measure.echo import CONTEXT_LENGTH, EPOCH, HIDDEN_WIDTH, hello
from cluster.wire.access.endpoint import Endpoint
from cluster.wire.stage.event_watch import EventWatch
from cluster.wire.stage.link import StageLink

NUM_ROUND_TRIPS = 50
NUM_BULK_STEPS = 8
BULK_ROWS = 512  # rows of HIDDEN_WIDTH floats: 8 MiB
LEAST_BULK_ROWS = 4  # 64 KiB
ENOUGH_S = 0.05  # a large step that takes so long is not made larger
PASS_S = 1.0  # for all of one kind, where links are slow; but so many are made at least
LEAST_STEPS = 3
TIMEOUT_S = 20.0
ROW_BYTES = HIDDEN_WIDTH * 4
LEAST_SHARE = 0.1  # of a step of one row: the way there and back takes that at least


@dataclass(frozen=True, slots=True)
class LinkFigures:
    """A step there and its result back, what its row takes for its size not counted; and the rate of large steps."""

    round_trip_s: float
    bytes_per_s: float

    def __post_init__(self) -> None:
        if not 0 < self.round_trip_s < TIMEOUT_S or not self.bytes_per_s > 0:
            raise ValueError("round_trip_s and bytes_per_s: must be positive")


def measure_loopback() -> LinkFigures:
    """Measure now. UnreachableError if this machine's loopback does not carry a stage's stream."""
    with closing(Child("cluster.planning.measure.echo")) as child:
        told = child.read(TIMEOUT_S)
        return measure_link(Endpoint(str(told["address"]), Secret.of_text(str(told["secret"]))))


def measure_link(endpoint: Endpoint) -> LinkFigures:
    """The link to the `Echo` at `endpoint`, which nobody has measured yet; some 2 s.

    UnreachableError if it does not answer, UnauthenticatedError if it belongs to another cluster.
    """
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    watch = EventWatch(endpoint, hello(), events.put, lambda reason: events.put(UnreachableError(reason)))
    link = StageLink(endpoint, hello(), lambda reason: events.put(UnreachableError(reason)))
    watch.open()
    try:
        link.open()
        sender = _Sender(link, events)
        try:
            sender.round_trip_s(1)
            one_row_s = sender.least_s(1, NUM_ROUND_TRIPS)
            num_rows = LEAST_BULK_ROWS
            while sender.round_trip_s(num_rows) < one_row_s + ENOUGH_S and num_rows < BULK_ROWS:
                num_rows = min(4 * num_rows, BULK_ROWS)
            bulk_s = sender.least_s(num_rows, NUM_BULK_STEPS)
        finally:
            link.close()
    finally:
        watch.close()
    bytes_per_s = (num_rows - 1) * ROW_BYTES / max(bulk_s - one_row_s, 1e-9)
    return LinkFigures(max(one_row_s - ROW_BYTES / bytes_per_s, LEAST_SHARE * one_row_s), bytes_per_s)


class _Sender:
    """Sends one step after the other and waits for each to be confirmed."""

    def __init__(self, link: StageLink, events: queue.SimpleQueue[Any]) -> None:
        self._link = link
        self._events = events
        self._step = 0

    def least_s(self, num_rows: int, num_steps: int) -> float:
        """Of so many steps, or of as many as PASS_S lets go: whatever else the ends do only adds to it."""
        until_s, least_s = time.perf_counter() + PASS_S, math.inf
        for step in range(num_steps):
            if step >= LEAST_STEPS and time.perf_counter() > until_s:
                break
            least_s = min(least_s, self.round_trip_s(num_rows))
        return least_s

    def round_trip_s(self, num_rows: int) -> float:
        self._step += 1
        batch, hidden = _step(self._step, num_rows)
        start_s = time.perf_counter()
        self._link.send(batch, hidden)
        try:
            answer = self._events.get(timeout=TIMEOUT_S)
        except queue.Empty as error:
            raise UnreachableError(f"link: no answer within {TIMEOUT_S:.0f} s; see that the network works") from error
        if isinstance(answer, ClusterError):
            raise answer
        return time.perf_counter() - start_s


def _step(step: int, num_rows: int) -> tuple[Microbatch, Float32Array]:
    rows: Callable[[], Any] = lambda: np.arange(num_rows, dtype=np.int32)  # noqa: E731
    batch = Microbatch(
        id=StepId(EPOCH, 0, step),
        tokens=rows(),
        positions=rows() % CONTEXT_LENGTH,
        slots=np.zeros(num_rows, np.int32),
        wants_logits=np.zeros(num_rows, np.bool_),
        samples=np.empty(0, np.int32),
        returns_logits=np.empty(0, np.int32),
    )
    return batch, np.zeros((num_rows, HIDDEN_WIDTH), np.float32)

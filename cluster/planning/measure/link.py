"""What the link to a stage costs: steps sent over the real wire to a process that only says it has them."""

from __future__ import annotations

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
from cluster.planning.measure.link_child import CONTEXT_LENGTH, EPOCH, HIDDEN_WIDTH, hello
from cluster.wire.access.endpoint import Endpoint
from cluster.wire.stage.event_watch import EventWatch
from cluster.wire.stage.link import StageLink

NUM_ROUND_TRIPS = 50
NUM_BULK_STEPS = 8
BULK_ROWS = 512  # rows of HIDDEN_WIDTH floats: 8 MiB
TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class LinkFigures:
    """A step of one row there and its result back, and the rate of large ones."""

    round_trip_s: float
    bytes_per_s: float

    def __post_init__(self) -> None:
        if not 0 < self.round_trip_s < TIMEOUT_S or not self.bytes_per_s > 0:
            raise ValueError("round_trip_s and bytes_per_s: must be positive")


def measure_loopback() -> LinkFigures:
    """Measure now. UnreachableError if this machine's loopback does not carry a stage's stream."""
    with closing(Child("cluster.planning.measure.link_child")) as child:
        told = child.read(TIMEOUT_S)
        return measure_link(Endpoint(str(told["address"]), Secret.of_text(str(told["secret"]))))


def measure_link(endpoint: Endpoint) -> LinkFigures:
    """The link to the echo at `endpoint`."""
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    watch = EventWatch(endpoint, hello(), events.put, lambda reason: events.put(UnreachableError(reason)))
    link = StageLink(endpoint, hello(), lambda reason: events.put(UnreachableError(reason)))
    watch.open()
    try:
        link.open()
        sender = _Sender(link, events)
        try:
            sender.round_trip_s(1)
            round_trip_s = min(sender.round_trip_s(1) for _ in range(NUM_ROUND_TRIPS))
            bulk_s = min(sender.round_trip_s(BULK_ROWS) for _ in range(NUM_BULK_STEPS))
        finally:
            link.close()
    finally:
        watch.close()
    return LinkFigures(round_trip_s, BULK_ROWS * HIDDEN_WIDTH * 4 / max(bulk_s - round_trip_s, 1e-9))


class _Sender:
    """Sends one step after the other and waits for each to be confirmed."""

    def __init__(self, link: StageLink, events: queue.SimpleQueue[Any]) -> None:
        self._link = link
        self._events = events
        self._step = 0

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

"""Events on their way from the computing thread to one that listens: the coordinator, or the first stage."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from cluster.api.errors import CapacityError, ClusterError
from cluster.messages.stage import StageFailure
from cluster.messages.step import SampledStep, StepResult, StepTiming
from cluster.wire.codec.event import Event, UrgentEvent, encode_event
from cluster.wire.codec.sampled import encode_sampled_step
from cluster.wire.codec.timing import encode_timings
from cluster.wire.local.frames import Frames
from protos import stage_pb2

# A coordinator that lags by so many events has stopped; it is cut off rather than allowed to fill the memory.
MAX_QUEUED_EVENTS = 4096
TOKENS = "tokens"  # what the first stage listens for; all else is for the coordinator
# Timings are sent together, once a stage was quiet for so long, or the oldest has waited for so long: a message
# for each would be in the way of the results, at both ends, and take time from the cores that compute.
QUIET_S = 0.1
MOST_DELAY_S = 0.5

Item = TypeVar("Item")


class BoundedQueue(Generic[Item]):
    """`put` never waits: the computing thread must not depend on who listens."""

    def __init__(self, stream: str, items_name: str) -> None:
        self._stream = stream
        self._items_name = items_name
        self._items: SimpleQueue[Item | None] = SimpleQueue()
        self._is_over = False

    def put(self, item: Item) -> None:
        if self._items.qsize() < MAX_QUEUED_EVENTS:
            self._items.put(item)
        else:
            self._is_over = True

    def end(self) -> None:
        self._items.put(None)

    def get(self, timeout_s: float | None = None) -> Item | None:
        """None at the end. CapacityError once some had to be dropped; queue.Empty after `timeout_s`."""
        item = self._items.get(timeout=timeout_s)
        if item is not None and self._is_over:
            too_many = f"more than {MAX_QUEUED_EVENTS} {self._items_name} were waiting"
            raise CapacityError(f"{self._stream}: {too_many}; read them faster")
        return item


class TokenQueue:
    """What the first stage wants to know of the results."""

    purpose = TOKENS

    def __init__(self) -> None:
        self.frames: Frames | None = None  # the way beside the call, if there is one: set before anything is put
        self._answered: BoundedQueue[StepResult] = BoundedQueue("tokens", "steps")
        self.end = self._answered.end

    def put(self, event: Event) -> None:
        if not isinstance(event, StepResult):
            return
        if self.frames is None:
            self._answered.put(event)
        elif not _has_left(encode_sampled_step(SampledStep.of(event)), self.frames):
            self.end()

    def messages(self) -> Iterator[stage_pb2.SampledStep]:
        """Answered steps until `end`; CapacityError once some had to be dropped."""
        while (result := self._answered.get()) is not None:
            yield encode_sampled_step(SampledStep.of(result))


class EventQueue:
    """What the coordinator wants to know: all events, the timings late and together."""

    purpose = "watch"

    def __init__(self) -> None:
        self.frames: Frames | None = None  # the way beside the call, if there is one: set before anything is put
        self._urgent: BoundedQueue[UrgentEvent] = BoundedQueue("watch", "events")
        self._timings: deque[StepTiming] = deque(maxlen=MAX_QUEUED_EVENTS)
        self._lock = threading.Lock()
        self._num_queued = 0
        self.end = self._urgent.end

    def put(self, event: Event) -> None:
        if isinstance(event, StepTiming):
            self._timings.append(event)  # the oldest ones are lost first
            return
        with self._lock:
            if self.frames is None or self._num_queued or not _is_short(event):
                self._num_queued += 1
                self._urgent.put(event)
            elif not all(_has_left(message, self.frames) for message in encode_event(event)):
                self.end()

    def messages(self) -> Iterator[stage_pb2.StageEvent]:
        """Events until `end`; CapacityError once some had to be dropped."""
        sent_s = time.monotonic()
        while True:
            try:
                event = self._urgent.get(QUIET_S)
            except Empty:
                is_quiet = self._is_quiet()
            else:
                if event is None:
                    return
                yield from encode_event(event)
                with self._lock:
                    self._num_queued -= 1
                is_quiet = False
            if not is_quiet and time.monotonic() < sent_s + MOST_DELAY_S:
                continue
            if self._timings:
                yield encode_timings(self._timings.popleft() for _ in range(len(self._timings)))
            sent_s = time.monotonic()

    def _is_quiet(self) -> bool:
        """No step has ended for a while (those of all stages but the last bring no result)."""
        return not self._timings or time.monotonic_ns() - self._timings[-1].end_ns >= QUIET_S * 1e9


def _is_short(event: UrgentEvent) -> bool:
    """One message of some hundred bytes, which takes the thread that computes no longer than to wake another one."""
    return isinstance(event, StageFailure) or (
        isinstance(event, StepResult) and event.logits is None and event.embeddings is None and not event.scored
    )


def _has_left(message: stage_pb2.StageEvent | stage_pb2.SampledStep, frames: Frames) -> bool:
    """False where the other end is gone, or does not read."""
    try:
        frames.send(message.SerializeToString())
    except ClusterError:
        frames.close()
        return False
    return True

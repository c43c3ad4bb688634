"""Events on their way from the computing thread to one that listens: the coordinator, or the first stage."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from queue import Empty, SimpleQueue

from cluster.errors import CapacityError
from cluster.messages import DrawnStep, StepResult, StepTiming
from cluster.wire.codec_drawn import encode_drawn
from cluster.wire.codec_event import Event, UrgentEvent, encode_event, encode_timings
from protos import stage_pb2

# A coordinator that lags by so many events has stopped; it is cut off rather than allowed to fill the memory.
MAX_QUEUED_EVENTS = 4096
# Timings are sent together, once a stage was quiet for so long, or the oldest has waited for so long: a message
# for each would be in the way of the results, at both ends, and take time from the cores that compute.
QUIET_S = 0.1
MOST_DELAY_S = 0.5


class DrawnQueue:
    """What the first stage wants to know of the results: bounded, and `put` never waits, as of EventQueue."""

    def __init__(self) -> None:
        self._answered: SimpleQueue[StepResult | None] = SimpleQueue()
        self._is_over = False

    def put(self, event: Event) -> None:
        if not isinstance(event, StepResult):
            return
        if self._answered.qsize() < MAX_QUEUED_EVENTS:
            self._answered.put(event)
        else:
            self._is_over = True

    def end(self) -> None:
        self._answered.put(None)

    def messages(self) -> Iterator[stage_pb2.DrawnStep]:
        """Answered steps until `end`; CapacityError once some had to be dropped."""
        while (result := self._answered.get()) is not None:
            if self._is_over:
                raise CapacityError(f"drawn: more than {MAX_QUEUED_EVENTS} steps were waiting; read them faster")
            yield encode_drawn(DrawnStep.of(result))


class EventQueue:
    """Bounded, but `put` never waits: the computing thread must not depend on who listens."""

    def __init__(self) -> None:
        self._urgent: SimpleQueue[UrgentEvent | None] = SimpleQueue()
        self._timings: deque[StepTiming] = deque(maxlen=MAX_QUEUED_EVENTS)
        self._is_over = False

    def put(self, event: Event) -> None:
        if isinstance(event, StepTiming):
            self._timings.append(event)  # the oldest ones are lost first
        elif self._urgent.qsize() < MAX_QUEUED_EVENTS:
            self._urgent.put(event)
        else:
            self._is_over = True

    def end(self) -> None:
        self._urgent.put(None)

    def messages(self) -> Iterator[stage_pb2.StageEvent]:
        """Events until `end`; CapacityError once some had to be dropped."""
        sent_s = time.monotonic()
        while True:
            try:
                event = self._urgent.get(timeout=QUIET_S)
            except Empty:
                is_quiet = self._is_quiet()
            else:
                if event is None:
                    return
                if self._is_over:
                    raise CapacityError(f"watch: more than {MAX_QUEUED_EVENTS} events were waiting; read them faster")
                yield from encode_event(event)
                is_quiet = False
            if not is_quiet and time.monotonic() < sent_s + MOST_DELAY_S:
                continue
            if self._timings:
                yield encode_timings(self._timings.popleft() for _ in range(len(self._timings)))
            sent_s = time.monotonic()

    def _is_quiet(self) -> bool:
        """No step has ended for a while (those of all stages but the last bring no result)."""
        return not self._timings or time.monotonic_ns() - self._timings[-1].end_ns >= QUIET_S * 1e9

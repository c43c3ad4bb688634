"""What the engine is wired to: stages to send to, an inbox to be told by; and the figures that it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cluster.api.status import StageActivity
from cluster.engine.events import Event
from cluster.messages.stage import StageFailure
from cluster.messages.step import Microbatch


class Stages(Protocol):
    """The stages, wired in a row. They keep the promises that `Scheduler` lists."""

    def submit(self, microbatch: Microbatch) -> None:
        """Sends a microbatch to the first stage, without waiting. Raises ClusterError if that is lost."""
        ...

    def flush(self) -> None:
        """Lets what was submitted go out, before others make use of the interpreter."""
        ...


class Inbox(Protocol):
    """A queue of events: any thread puts, the engine's gets. `queue.SimpleQueue` is one."""

    def put(self, event: Event) -> None: ...

    def get(self, block: bool = True, timeout: float | None = None) -> Event:
        """Raises queue.Empty after `timeout` seconds without an event."""
        ...

    def empty(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Figures for `cluster status`."""

    epoch: int
    failure: StageFailure | None  # why requests are refused; None when ready
    num_slots_used: int
    num_waiting: int
    num_in_flight: int
    num_requests: int  # ended since the start
    num_tokens: int  # generated since the start
    stages: tuple[StageActivity, ...]

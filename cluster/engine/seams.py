"""What the engine is wired to: stages to send to, an inbox to be told by; and the figures that it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from cluster.api.status import StageActivity
from cluster.engine.events import Event
from cluster.engine.outages import NO_OUTAGES, OutageFigures
from cluster.messages.program import AnyStep
from cluster.messages.stage import StageFailure
from cluster.messages.step import Microbatch

Sent = TypeVar("Sent", bound=AnyStep, contravariant=True)


class Steps(Protocol[Sent]):
    """The stages, wired in a row, for one kind of step."""

    def submit(self, step: Sent) -> None:
        """Sends a step to the first stage, without waiting. Raises ClusterError if that is lost."""
        ...


class Stages(Steps[Microbatch], Protocol):
    """The stages of a model. They keep the promises that `Scheduler` lists."""

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
    is_holding: bool = False  # requests wait for the stages to be there again
    num_drafted: int = 0  # tokens that were guessed ahead and checked, since the start
    num_accepted: int = 0  # those of them that were right
    num_dropped_runs: int = 0  # microbatches of guesses behind one that was wrong
    is_on_purpose: bool = False  # the failure is a pause that somebody has asked for
    outages: OutageFigures = NO_OUTAGES

"""The coordinator's side of the pipeline: one link to the first stage, one watch on each."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn, Protocol, TypeVar

from cluster.api.errors import ClusterError, UnreachableError
from cluster.api.status import Condition, Health, StageFacts
from cluster.coordinator.spec import StageEndpoint
from cluster.engine.events import Reset
from cluster.messages.program import AnyStep
from cluster.messages.stage import Holdings, StageFailure
from cluster.messages.step import Microbatch
from cluster.wire.access.endpoint import Endpoint
from cluster.wire.access.keys import Keys
from cluster.wire.codec.event import Event
from cluster.wire.stage.event_watch import EventWatch
from cluster.wire.stage.link import StageLink
from cluster.wire.stage.wiring import wire_stages

# A step leaves within a fraction of this; longer waits are the network's, and not worth ours.
FLUSH_S = 0.002

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


class Receiver(Protocol):
    """An engine, as the stages know it."""

    def deliver(self, event: Any) -> None:
        """What they send back: results of the kind of steps that it sends, and timings."""

    def fail(self, failure: StageFailure) -> None:
        """One of them is lost."""

    def cut(self, failure: StageFailure) -> None:
        """The connection to one of them broke."""

    def reset(self, reset: Reset) -> None:
        """They are wired anew."""


class WiredStages:
    """The stages of the current epoch. Implements `engine.seams.Stages`, and `Steps` of any kind."""

    def __init__(self, keys: Keys) -> None:
        """`keys`: for stages."""
        self._keys = keys
        self._lock = threading.Lock()
        self._link: StageLink | None = None
        self._watches: list[EventWatch] = []
        self.ends: tuple[StageEndpoint, ...] = ()

    def submit(self, step: AnyStep) -> None:
        """Queue a step for the first stage. UnreachableError if that is lost or was never there."""
        link = self._link
        if link is None:
            raise UnreachableError("stage 0: not connected yet; wait until the cluster is up")
        rows = step.rows if isinstance(step, Microbatch) and step.is_computed_by(0) else None
        link.send(step, rows)

    def flush(self) -> None:
        """Let what was submitted go out before this thread does anything else."""
        if self._link is not None:
            self._link.flush(FLUSH_S)

    def wire(self, epoch: int, ends: tuple[StageEndpoint, ...], engine: Receiver) -> None:
        """Leave the old epoch's streams, open the new ones, and let the engine begin the epoch."""
        self.close()
        watches = []
        try:
            for end in ends:
                lost = partial(_report_lost, engine, end.hello.stage, epoch)
                take = partial(_take, engine, end.hello.stage)
                watch = EventWatch(self._endpoint(end), end.hello, take, lost)
                watch.open()
                watches.append(watch)
            link = StageLink(self._endpoint(ends[0]), ends[0].hello, partial(_report_lost, engine, 0, epoch))
            link.open()
        except ClusterError:
            for watch in watches:
                watch.close()
            raise
        holdings = _holdings_of(watches)
        with self._lock:
            are_same = _processes(self.ends) == _processes(ends)
            self._link, self._watches, self.ends = link, watches, ends
        engine.reset(Reset(epoch, tuple(end.costs for end in ends), holdings, are_same))

    def rewire(self, epoch: int, engine: Receiver) -> None:
        """Begin an epoch with the same stages, all of which still run. UnreachableError, HandshakeError."""
        if not self.ends:
            raise UnreachableError("stages: none was ever connected; run cluster up")
        ends = tuple(replace(end, hello=replace(end.hello, epoch=epoch)) for end in self.ends)
        wire_stages([end.place for end in ends], self._keys)
        self.wire(epoch, ends, engine)

    def describe(self) -> list[StageFacts]:
        """Each stage as it is now; one that does not answer as it was when it was wired, with the reason."""
        with self._lock:
            watches, ends = self._watches, self.ends
        # All are asked before the first answer is waited for: several may be stopped.
        answers = [_ask(watch.ask) for watch in watches] or [_not_connected] * len(ends)
        return [_describe(answer, end) for answer, end in zip(answers, ends, strict=True)]

    def compile(self, grammar: str) -> None:
        """Have the last stage compile a grammar. UsageError if it cannot; UnreachableError."""
        with self._lock:
            watches = self._watches
        if not watches:
            _not_connected()
        watches[-1].compile(grammar)

    def close(self) -> None:
        """Leave all streams."""
        with self._lock:
            link, watches = self._link, self._watches
            self._link, self._watches = None, []
        if link is not None:
            link.close()
        for watch in watches:
            watch.close()

    def _endpoint(self, end: StageEndpoint) -> Endpoint:
        return self._keys.endpoint(end.address, end.facts.node)


def _processes(ends: tuple[StageEndpoint, ...]) -> list[tuple[str, int]]:
    return [(end.facts.node, end.facts.pid) for end in ends]


def _holdings_of(watches: Sequence[EventWatch]) -> tuple[Holdings | None, ...]:
    """What each stage still holds; None of one that does not tell in time, for which all is computed again."""
    answers = [_ask(watch.ask_holdings) for watch in watches]
    return tuple(map(_told, answers))


def _told(answer: Callable[[], Holdings]) -> Holdings | None:
    try:
        return answer()
    except ClusterError as error:
        _log.warning("what a stage holds is not known: %s", error)
        return None


def _take(engine: Receiver, stage: int, event: Event) -> None:
    """What `stage` says: of its own steps, or of its connection to another one."""
    if not isinstance(event, StageFailure):
        engine.deliver(event)
    elif event.stage == stage:
        engine.fail(event)
    else:
        engine.cut(event)


def _report_lost(engine: Receiver, stage: int, epoch: int, reason: str) -> None:
    _log.warning("stage %d is lost: %s", stage, reason)
    engine.cut(StageFailure(stage, epoch, reason))


def _not_connected() -> NoReturn:
    raise UnreachableError("not connected; run cluster up")


def _ask(ask: Callable[[], Callable[[], Answer]]) -> Callable[[], Answer]:
    try:
        return ask()
    except ClusterError:
        return _not_connected


def _describe(answer: Callable[[], StageFacts], end: StageEndpoint) -> StageFacts:
    try:
        return answer()
    except ClusterError as error:
        return replace(end.facts, health=Health(Condition.LOST, str(error)), rss_bytes=0)

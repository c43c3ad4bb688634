"""The stages of a cluster and the engine over them: wired, wired anew after a failure, and what they say."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from cluster.api.status import ClusterStatus, Condition, Health, Protection, StageFacts, StageStatus
from cluster.coordinator.pulse import Pulse
from cluster.coordinator.recovery import Recovery
from cluster.coordinator.spec import AnySpec, StageEndpoint
from cluster.coordinator.stages import Receiver, WiredStages
from cluster.engine.hops import hops_ms
from cluster.engine.seams import Snapshot
from cluster.messages.stage import StageFailure
from cluster.messages.step import StepTiming
from cluster.node.ray_health import ray_trouble
from cluster.wire.access.keys import Keys

# For steps under way, where the stages are placed anew on purpose; those that take longer are computed again.
PAUSE_TIMEOUT_S = 10.0


class Driver(Receiver, Protocol):
    """An engine, as its coordinator knows it."""

    @property
    def failure(self) -> StageFailure | None:
        """Why requests are refused; None when ready."""

    def snapshot(self) -> Snapshot: ...

    def pause(self, why: str, timeout_s: float) -> None: ...

    def expect(self) -> None: ...

    def refuse(self) -> None: ...

    def timings(self, stage: int) -> tuple[StepTiming, ...]: ...


class Pipeline:
    """Whatever kind of steps goes through it. `engine` is set before it is started."""

    engine: Driver

    def __init__(self, spec: AnySpec, keys: Keys) -> None:
        """`keys`: of the cluster's processes."""
        self._spec = spec
        self._pulse = Pulse()
        self.stages = WiredStages(keys.for_stages)
        self._next_epoch = 1
        self._started_s = time.monotonic()
        self._given_up = ""  # why nobody repairs what is lost; empty where somebody does, or nobody was to
        self._recovery = Recovery(lambda: self.engine.failure is not None, self._rewire)

    def start(self) -> None:
        self._pulse.start()
        self._recovery.start()

    def wire(self, epoch: int, stages: tuple[StageEndpoint, ...]) -> None:
        """Begin an epoch with these stages. HandshakeError, or UnreachableError."""
        self.stages.wire(epoch, stages, self.engine)
        self._next_epoch = epoch + 1
        self._given_up = ""
        self._recovery.release()

    def hold_recovery(self) -> int:
        """Leave the stages to whoever wires them next; for a minute, if nobody does. The epoch until now."""
        self._recovery.hold()
        return self._next_epoch - 1

    def stop(self) -> None:
        """End the threads; the engine is stopped next, and then the stages are left: see `close`."""
        self._recovery.stop()
        self._pulse.stop()

    def close(self) -> None:
        """Leave all streams."""
        self.stages.close()

    @property
    def trouble(self) -> str:
        """Why nothing is served; "" where it is. Asks nobody."""
        failure = self.engine.failure
        return "" if failure is None else _lost(failure)

    def pause(self, why: str) -> None:
        """Have what is under way end, and hold all requests until the stages are wired anew."""
        self.engine.pause(why, PAUSE_TIMEOUT_S)

    def expect(self) -> None:
        """The stages are on their way back."""
        self.engine.expect()

    def refuse(self) -> int:
        """Take no new requests any more. How many are open."""
        self.engine.refuse()
        found = self.engine.snapshot()
        return found.num_slots_used + found.num_waiting

    def give_up(self, why: str) -> None:
        """Nobody repairs what is lost any more, for that reason; "" takes it back."""
        self._given_up = why

    def cause_of(self, failure: StageFailure) -> StageFailure:
        """Streams that break after a standstill of ours say nothing about the stages."""
        stood_still_s = self._pulse.stood_still_s()
        if not stood_still_s:
            return failure
        said = f"its process stood still for {stood_still_s:.0f} s, and its connections to the stages broke"
        return StageFailure(None, failure.epoch, said)

    def status(
        self, address: str, protection: Protection, num_slots: int, *, context_length: int = 0, vocab_size: int = 0
    ) -> ClusterStatus:
        """The cluster now, which clients reach at `address`; asks every stage. A program has no context or tokens."""
        snapshot = self.engine.snapshot()
        return ClusterStatus(
            model=self._spec.model,
            model_hash=self._spec.model_hash,
            architecture=self._spec.architecture,
            health=self._health(snapshot),
            address=address,
            epoch=snapshot.epoch,
            context_length=context_length,
            num_slots=num_slots,
            num_slots_used=snapshot.num_slots_used,
            num_waiting=snapshot.num_waiting,
            num_requests=snapshot.num_requests,
            num_tokens=snapshot.num_tokens,
            uptime_s=time.monotonic() - self._started_s,
            vocab_size=vocab_size,
            stages=self._statuses(snapshot),
            protection=protection,
            row_bytes=self._spec.row_bytes,
            plan=self._spec.plan,
            num_recoveries=snapshot.outages.num_ended,
            lost_s=snapshot.outages.lost_s,
            num_replayed=snapshot.outages.num_replayed,
            num_drafted=snapshot.num_drafted,
            num_accepted=snapshot.num_accepted,
            num_dropped_runs=snapshot.num_dropped_runs,
        )

    def _statuses(self, snapshot: Snapshot) -> tuple[StageStatus, ...]:
        facts = self.stages.describe()
        hops = hops_ms([self.engine.timings(fact.stage) for fact in facts], [fact.node for fact in facts])
        return tuple(self._status(fact, snapshot, hop_ms) for fact, hop_ms in zip(facts, hops, strict=True))

    def intervals(self) -> Sequence[StepTiming]:
        """The recorded steps of all stages, by stage."""
        return [timing for stage in range(self._spec.num_stages) for timing in self.engine.timings(stage)]

    def _health(self, snapshot: Snapshot) -> Health:
        if snapshot.failure is not None:
            lost = snapshot.failure.reason if snapshot.is_on_purpose else _lost(snapshot.failure)
            if self._given_up:
                return Health(Condition.DEGRADED, f"{lost}; {self._given_up}")
            if snapshot.is_holding:
                return Health(Condition.RECOVERING, f"{lost}; for {snapshot.outages.length_s:.0f} s")
            return Health(Condition.DEGRADED, lost)
        trouble = ray_trouble(self._spec.ray_processes)
        if trouble is None:
            return Health()
        return Health(Condition.DEGRADED, f"{trouble}; it serves, but cannot be repaired: run cluster up")

    def _rewire(self) -> None:
        # A stage may have been in this epoch already, for an attempt that failed at another stage.
        epoch, self._next_epoch = self._next_epoch, self._next_epoch + 1
        self.stages.rewire(epoch, self.engine)

    def _status(self, facts: StageFacts, snapshot: Snapshot, hop_ms: float) -> StageStatus:
        failure = snapshot.failure
        if failure is not None and failure.stage == facts.stage:
            facts = replace(facts, health=Health(Condition.LOST, failure.reason))
        activity = replace(snapshot.stages[facts.stage], hop_ms=hop_ms)
        return StageStatus(facts, activity, self.stages.ends[facts.stage].address)


def _lost(failure: StageFailure) -> str:
    """Who is lost, and why: for people."""
    who = "the coordinator" if failure.stage is None else f"stage {failure.stage}"
    return f"{who} is lost: {failure.reason}"

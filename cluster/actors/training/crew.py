"""TrainingCrew: the workers of one attempt to run a script, seen from a Ray driver."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.actors.ray_side.calls import errors_of_ray, get
from cluster.actors.training.died import WorkerDiedError
from cluster.actors.training.output import Show
from cluster.actors.training.passes import Passes
from cluster.actors.training.seats import Seat
from cluster.actors.training.worker import Seen, TrainingWorker
from cluster.api.errors import UnreachableError

START_TIMEOUT_S = 120.0
POLL_S = 0.1
# For the rank that is the cause to be seen, where another one says first that its neighbour is gone.
CAUSE_S = 3.0


class TrainingCrew:
    """One actor for each seat, which end with this driver. End it."""

    def __init__(self, seats: Sequence[Seat], passes: Passes) -> None:
        self._seats, self._passes = seats, passes
        remote: Any = ray.remote(TrainingWorker)
        with errors_of_ray():
            self._workers = [remote.options(num_cpus=0, **_placed(seat)).remote(seat) for seat in seats]

    def begin(self, script: str, arguments: Sequence[str]) -> None:
        """Wire the ring and start the script on every rank. WorkerDiedError, UnreachableError."""
        with errors_of_ray():
            is_secure = self._passes.authority is not None
            requests = self._all("request") if is_secure else [b""] * len(self._workers)
            addresses = self._got(
                [
                    worker.listen.remote(self._passes.of(seat.rank, seat.node.host if seat.node else "", request))
                    for worker, seat, request in zip(self._workers, self._seats, requests, strict=True)
                ]
            )
            references = [worker.begin.remote(addresses, script, tuple(arguments)) for worker in self._workers]
            self._got(references)

    def watch(self, show: Show) -> str:
        """Returns when all ranks have ended: the first failure that is a cause, or nothing. WorkerDiedError."""
        running = set(range(len(self._workers)))
        lost, lost_at_s = "", 0.0
        while running:
            for rank in sorted(running):
                seen = self._look(rank)
                if seen.output:
                    show(rank, seen.output)
                if not seen.has_ended:
                    continue
                running.discard(rank)
                if seen.lost_neighbour:
                    lost, lost_at_s = lost or f"rank {rank}: {seen.failure}", lost_at_s or time.monotonic()
                elif seen.failure:
                    return f"rank {rank}: {seen.failure}"
            if lost and time.monotonic() > lost_at_s + CAUSE_S:
                return lost
            time.sleep(POLL_S)
        return lost

    def end(self) -> None:
        """End all processes of this attempt."""
        for worker in self._workers:
            ray.kill(worker)

    def _look(self, rank: int) -> Seen:
        try:
            seen = ray.get(self._workers[rank].look.remote(), timeout=START_TIMEOUT_S)
        except RayActorError as error:
            raise WorkerDiedError(f"rank {rank}: its process is gone; look for a lack of memory") from error
        assert isinstance(seen, Seen)
        return seen

    def _all(self, method: str) -> list[Any]:
        return self._got([getattr(worker, method).remote() for worker in self._workers])

    def _got(self, references: Sequence[Any]) -> list[Any]:
        try:
            return [get(reference, START_TIMEOUT_S) for reference in references]
        except UnreachableError as error:
            raise WorkerDiedError(str(error)) from error


def _placed(seat: Seat) -> dict[str, Any]:
    """Options of the actor: on its node, or anywhere where there is one only."""
    if seat.node is None:
        return {}
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(seat.node.id, soft=False)}

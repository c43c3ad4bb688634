"""One pass over a loader's batches, here or by workers, and the place where it is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ggml.core.errors import WorkerError
from ggml.data.collating import pinned
from ggml.data.fetching import Exhausted, fetcher
from ggml.data.workers.messages import Ended, Epoch, Failed, Setup, Task
from ggml.data.workers.pool import Pool
from ggml.ops.create.random import default_generator


@dataclass(slots=True)
class Place:
    """Where a pass is. ``sampler`` is the sampler's state when it began; ``num_yielded`` counts batches."""

    base_seed: int
    sampler: dict[str, Any]
    num_yielded: int = 0
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass is made of. ``skip`` batches were yielded before; ``indices`` begin with the first of the epoch."""

    setup: Setup
    indices: Iterator[Any]
    is_stream: bool
    skip: int
    pin_memory: bool
    place: Place = field(compare=False)

    def remaining(self) -> Iterator[tuple[int, Any]]:
        """Numbers and indices of the batches to fetch. Those of a stream cannot be left out before they are fetched."""
        return itertools.islice(enumerate(self.indices), 0 if self.is_stream else self.skip, None)

    def yielded(self, batch: Any) -> Any:
        self.place.num_yielded += 1
        return pinned(batch) if self.pin_memory else batch


class Inline:
    """Batches that are fetched when they are asked for."""

    def __init__(self, plan: Plan) -> None:
        setup = plan.setup
        self._plan = plan
        self._fetcher = fetcher(setup.dataset, setup.collate_fn, setup.is_batched, setup.drop_last)
        self._indices = plan.remaining()
        if plan.is_stream and plan.skip:
            before = default_generator.snapshot()
            for _, indices in itertools.islice(self._indices, plan.skip):
                self._fetched(indices)
            default_generator.restore(before)  # what was drawn for these batches was drawn before

    def __iter__(self) -> Inline:
        return self

    def __next__(self) -> Any:
        for _, indices in self._indices:
            return self._plan.yielded(self._fetched(indices))
        self._plan.place.is_over = True
        raise StopIteration

    def _fetched(self, indices: Any) -> Any:
        try:
            return self._fetcher.fetch(indices)
        except Exhausted:
            self._plan.place.is_over = True
            self._indices = iter(())
            raise StopIteration from None


class Parallel:
    """Batches from workers, in the order of the indices. Each worker has ``prefetch_factor`` tasks at a time.

    Batch n goes to the next worker whose stream has not ended. A worker answers in order, so that the next batch is
    the next answer of the worker that has it.
    """

    def __init__(self, plan: Plan, pool: Pool, prefetch_factor: int, timeout_s: float, closes: bool) -> None:
        self._plan, self._pool, self._timeout_s, self._closes = plan, pool, timeout_s, closes
        self._tasks = plan.remaining()
        self._open = list(range(plan.setup.num_workers))  # whose streams have not ended, in turn
        self._waiting: list[int] = []  # the worker of each task that is not answered, oldest first
        self._death: WorkerError | None = None
        self._to_drop = plan.skip if plan.is_stream else 0
        for worker in self._open:
            pool.send(worker, Epoch(plan.place.base_seed))
        for _ in range(prefetch_factor * plan.setup.num_workers):
            self._send_next()

    def __iter__(self) -> Parallel:
        return self

    def _send_next(self) -> None:
        if not self._open:
            return
        for number, indices in self._tasks:
            worker = self._open.pop(0)
            self._open.append(worker)
            self._pool.send(worker, Task(number, indices))
            self._waiting.append(worker)
            return

    def __next__(self) -> Any:
        while self._waiting:
            worker = self._waiting[0]
            answer = self._answer(worker)
            self._waiting.pop(0)
            if isinstance(answer, Ended):
                if worker in self._open:
                    self._open.remove(worker)
                self._send_next()
                continue
            self._send_next()
            if isinstance(answer, Failed):
                raise answer.error()
            if self._to_drop:
                self._to_drop -= 1
                continue
            return self._plan.yielded(answer)
        self._plan.place.is_over = True
        if self._closes:
            self._pool.close()
        raise StopIteration

    def _answer(self, worker: int) -> Any:
        """What the worker sends next. Once one is dead the others end, too, and every further call says so again."""
        if self._death is not None:
            raise self._death
        try:
            return self._pool.receive(worker, self._timeout_s)
        except WorkerError as error:
            if error.exitcode is not None:
                self._death = error
                self._pool.close()
            raise

    def drain(self) -> None:
        """Throw away what is still to come, so that the next pass begins with workers that have nothing to do."""
        while self._waiting:
            self._answer(self._waiting[0])
            self._waiting.pop(0)

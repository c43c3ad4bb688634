"""``DataLoader``: a dataset as batches, with PyTorch's arguments."""

from __future__ import annotations

import itertools
import multiprocessing
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.context import BaseContext
from typing import Any, Generic, TypeVar

import numpy as np

from ggml.core.errors import ArgumentError
from ggml.data.collating import default_collate, default_convert
from ggml.data.dataset import Dataset, IterableDataset
from ggml.data.iterating import Inline, Parallel, Place, Plan
from ggml.data.samplers import BatchSampler, RandomSampler, SequentialSampler
from ggml.data.samplers.drawn import drawn_seed
from ggml.data.samplers.sampler import give_state, positive, state_of
from ggml.data.workers.messages import Setup
from ggml.data.workers.pool import Pool
from ggml.ops.create.random import Generator, generator_of

T_co = TypeVar("T_co", covariant=True)


class DataLoader(Generic[T_co]):
    """Each ``iter`` is an epoch: batches of samples, in an order that does not depend on the number of workers.

    ``num_workers`` processes fetch ahead, ``prefetch_factor`` batches each (2). They are started anew and not forked,
    so that dataset, ``collate_fn`` and ``worker_init_fn`` are pickled; they end with the epoch, or with the loader when
    they are ``persistent_workers``. An error in one is raised here with its traceback; WorkerError says that one died,
    or took more than ``timeout`` seconds for a batch (0: no limit).

    What a sample draws from ggml's generator in a worker is seeded for each batch: equal for any number of workers
    above 0. ``state_dict`` can be taken between any two batches.
    """

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: str | BaseContext | None = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
    ) -> None:
        self._check_workers(num_workers, timeout, prefetch_factor, persistent_workers, multiprocessing_context)
        generator_of("DataLoader", generator)
        self.dataset, self.num_workers, self.timeout, self.generator = dataset, num_workers, timeout, generator
        self.pin_memory, self.worker_init_fn, self.persistent_workers = pin_memory, worker_init_fn, persistent_workers
        self.prefetch_factor = 2 if prefetch_factor is None and num_workers else prefetch_factor
        self.multiprocessing_context = multiprocessing_context
        self._is_stream = isinstance(dataset, IterableDataset)
        self._check_order(batch_size, shuffle, sampler, batch_sampler, drop_last)
        if sampler is None and batch_sampler is None and not self._is_stream:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_sampler is None and batch_size is not None and not self._is_stream:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
            self.batch_size: int | None = batch_size
        else:
            self.batch_size = batch_size if batch_sampler is None else None
        self.sampler, self.batch_sampler, self.drop_last = sampler, batch_sampler, drop_last
        self._is_batched = batch_sampler is not None or batch_size is not None
        self.collate_fn = collate_fn or (default_collate if self._is_batched else default_convert)
        self._epoch = 0
        self._place: Place | None = None
        self._resumed: Mapping[str, Any] | None = None
        self._pool: Pool | None = None
        self._last: weakref.ref[Parallel] | None = None

    @staticmethod
    def _check_workers(
        num_workers: Any, timeout: Any, prefetch_factor: Any, persistent_workers: bool, context: Any
    ) -> None:
        if isinstance(num_workers, bool) or not isinstance(num_workers, int) or num_workers < 0:
            raise ArgumentError("DataLoader", "num_workers", f"must be an integer from 0 on, and is {num_workers!r}")
        if not timeout >= 0:
            raise ArgumentError("DataLoader", "timeout", f"must be 0 or a number of seconds, and is {timeout!r}")
        given = {"prefetch_factor": prefetch_factor, "persistent_workers": persistent_workers or None}
        for name, value in {**given, "multiprocessing_context": context}.items():
            if value is not None and num_workers == 0:
                raise ArgumentError("DataLoader", name, "needs num_workers above 0")
        if prefetch_factor is not None:
            positive("DataLoader", "prefetch_factor", prefetch_factor)

    def _check_order(
        self, batch_size: int | None, shuffle: bool | None, sampler: Any, batch_sampler: Any, drop_last: bool
    ) -> None:
        if self._is_stream and (shuffle or sampler is not None or batch_sampler is not None):
            why = "have no meaning for an IterableDataset, which has an order of its own"
            raise ArgumentError("DataLoader", "shuffle, sampler and batch_sampler", why)
        if sampler is not None and shuffle:
            raise ArgumentError("DataLoader", "shuffle", "and sampler exclude each other")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ArgumentError("DataLoader", "batch_sampler", "excludes batch_size, shuffle, sampler and drop_last")
        if batch_size is None and drop_last:
            raise ArgumentError("DataLoader", "drop_last", "has no meaning without a batch_size")
        if batch_size is not None:
            positive("DataLoader", "batch_size", batch_size)

    def __len__(self) -> int:
        """Batches of an epoch; TypeError where dataset or sampler have no length."""
        if not self._is_stream:
            return len(self._index_sampler)
        total = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return total
        return total // self.batch_size if self.drop_last else -(-total // self.batch_size)

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __iter__(self) -> Iterator[Any]:
        setup = Setup(
            0, self.num_workers, self.dataset, self.collate_fn, self.worker_init_fn, self._is_batched, self.drop_last
        )
        pool = self._workers(setup) if self.num_workers else None
        plan = self._begin(setup)
        self._place = plan.place
        if pool is None:
            return Inline(plan)
        assert self.prefetch_factor is not None
        made = Parallel(plan, pool, self.prefetch_factor, self.timeout, not self.persistent_workers)
        self._last = weakref.ref(made)
        return made

    def _begin(self, setup: Setup) -> Plan:
        """A new epoch, or the rest of one whose state was loaded. Only a new one draws."""
        resumed, self._resumed = self._resumed, None
        if resumed is None or resumed["base_seed"] is None:
            self._epoch, skip, base_seed = self._epoch + 1, 0, drawn_seed(self.generator)
        else:
            skip, base_seed = resumed["num_yielded"], resumed["base_seed"]
            give_state(self._index_sampler, resumed["sampler"])
        if self._is_stream:
            unit = range(self.batch_size) if self.batch_size else None
            indices: Iterator[Any] = itertools.repeat(unit)
        else:
            indices = iter(self._index_sampler)
        place = Place(base_seed, {} if self._is_stream else state_of(self._index_sampler), skip)
        return Plan(setup, indices, self._is_stream, skip, self.pin_memory, place)

    def _workers(self, setup: Setup) -> Pool:
        """Workers with nothing to do: those of the last pass if they stay, else new ones."""
        last = self._last() if self._last else None
        if self._pool is not None and self._pool.is_open:
            if last is not None:
                last.drain()
            if last is not None or self._place is None or self._place.is_over:
                return self._pool
            self._pool.close()  # a pass was dropped half way, and nobody knows what its workers still answer
        made = Pool(setup, self._context())
        self._pool = made if self.persistent_workers else None
        return made

    def _context(self) -> BaseContext:
        given = self.multiprocessing_context
        method = "spawn" if given is None else given if isinstance(given, str) else given.get_start_method()
        if method not in ("spawn", "forkserver"):
            why = "must be 'spawn' or 'forkserver': a forked process has no threads of the one that it copies"
            raise ArgumentError("DataLoader", "multiprocessing_context", f"{why}; got {method!r}")
        return multiprocessing.get_context(method) if given is None or isinstance(given, str) else given

    # Stopping and going on

    def _generators(self) -> list[Generator]:
        """The generators that epochs draw their seeds from, each once, but for everybody's."""
        inner = getattr(self.batch_sampler, "sampler", None)
        found = [
            self.generator,
            *(getattr(one, "generator", None) for one in (self.sampler, self.batch_sampler, inner)),
        ]
        return list({id(one): one for one in found if isinstance(one, Generator)}.values())

    def state_dict(self) -> dict[str, Any]:
        """Where the last pass is: numbers, texts, lists and dicts only, so that JSON can hold it.

        It has the epoch, the batches that were yielded, the seeds of the epoch, the sampler's state and the states of
        the generators that were given. ggml's default generator belongs to the program, which saves it itself.
        """
        place = self._place
        is_within = place is not None and not place.is_over
        return {
            "epoch": self._epoch,
            "num_yielded": place.num_yielded if place is not None and is_within else 0,
            "base_seed": place.base_seed if place is not None and is_within else None,
            "sampler": dict(place.sampler) if place is not None and is_within else {},
            "generators": [_plain(one.snapshot()) for one in self._generators()],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """The next ``iter`` goes on behind the last batch that was yielded; of a dataset with an index nothing is read
        again. A stream is read from its beginning, and what was yielded is thrown away.
        """
        missing = {"epoch", "num_yielded", "base_seed", "sampler", "generators"} - set(state_dict)
        if missing:
            raise ArgumentError("DataLoader", "state_dict", f"lacks {', '.join(sorted(missing))}")
        skip, seed, saved = state_dict["num_yielded"], state_dict["base_seed"], state_dict["generators"]
        if not isinstance(skip, int) or skip < 0 or not (seed is None or isinstance(seed, int)):
            raise ArgumentError("DataLoader", "state_dict", f"has num_yielded={skip!r} and base_seed={seed!r}")
        own = self._generators()
        if len(saved) != len(own):
            raise ArgumentError("DataLoader", "state_dict", f"has {len(saved)} generators; this loader has {len(own)}")
        for one, state in zip(own, saved, strict=True):
            try:
                one.restore(_arrays(state))
            except (KeyError, TypeError, ValueError) as error:
                raise ArgumentError("DataLoader", "state_dict", f"has a generator that is none: {error}") from None
        self._epoch, self._resumed, self._place = int(state_dict["epoch"]), dict(state_dict), None


def _plain(state: Any) -> Any:
    """The state of a generator without arrays."""
    if isinstance(state, Mapping):
        return {key: _plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, (np.ndarray, np.generic)) else state


def _arrays(state: Any) -> Any:
    """What ``_plain`` was given: all lists in it are words of 64 bits."""
    if isinstance(state, Mapping):
        return {key: _arrays(value) for key, value in state.items()}
    return np.asarray(state, np.uint64) if isinstance(state, Sequence) and not isinstance(state, str) else state

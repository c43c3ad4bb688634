"""From indices to a batch, in the loader's process or in a worker."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from ggml.data.dataset import IterableDataset


class Exhausted(Exception):
    """A stream has no further batch."""


class Fetcher(Protocol):
    def fetch(self, indices: Any) -> Any:
        """The batch of these indices; Exhausted where a stream has ended."""


class ByIndex:
    """Samples of a dataset that has an index; ``indices`` is one index where nothing makes batches."""

    def __init__(self, dataset: Any, collate_fn: Callable[[Any], Any], is_batched: bool) -> None:
        self.dataset, self.collate_fn, self.is_batched = dataset, collate_fn, is_batched

    def fetch(self, indices: Any) -> Any:
        if not self.is_batched:
            return self.collate_fn(self.dataset[indices])
        several = getattr(self.dataset, "__getitems__", None)
        samples = several(indices) if callable(several) else [self.dataset[index] for index in indices]
        return self.collate_fn(samples)


class AsTheyCome:
    """Samples of a stream: of ``indices`` only the number counts."""

    def __init__(self, dataset: Any, collate_fn: Callable[[Any], Any], is_batched: bool, drop_last: bool) -> None:
        self.samples: Iterator[Any] = iter(dataset)
        self.collate_fn, self.is_batched, self.drop_last = collate_fn, is_batched, drop_last

    def fetch(self, indices: Any) -> Any:
        if not self.is_batched:
            for one in self.samples:
                return self.collate_fn(one)
            raise Exhausted
        found = list(itertools.islice(self.samples, len(indices)))
        if not found or (self.drop_last and len(found) < len(indices)):
            raise Exhausted
        return self.collate_fn(found)


def fetcher(dataset: Any, collate_fn: Callable[[Any], Any], is_batched: bool, drop_last: bool) -> Fetcher:
    """What fetches from such a dataset. A stream begins here."""
    if isinstance(dataset, IterableDataset):
        return AsTheyCome(dataset, collate_fn, is_batched, drop_last)
    return ByIndex(dataset, collate_fn, is_batched)

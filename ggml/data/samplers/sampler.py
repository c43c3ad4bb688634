"""The base of samplers, and those that draw nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from ggml.core.errors import ArgumentError, DTypeError

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """An order of indices: each ``iter`` begins an epoch.

    ``state_dict`` says what an epoch that has begun is made of, and after ``load_state_dict`` the next ``iter`` begins
    that epoch again. A sampler that draws has to have both for a ``DataLoader`` to go on in the middle of an epoch.
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to do for an order that is always the same."""


class SequentialSampler(Sampler[int]):
    """All indices, in order."""

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class BatchSampler(Sampler[list[int]]):
    """The indices of another sampler, ``batch_size`` at a time; ``drop_last`` leaves out a last one that is smaller."""

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool) -> None:
        positive("BatchSampler", "batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise DTypeError("BatchSampler", "a bool as drop_last", type(drop_last).__name__)
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        # The sampler begins here and not at the first batch, so that its state can be asked at once.
        return self._batches(iter(self.sampler))

    def _batches(self, indices: Iterator[int]) -> Iterator[list[int]]:
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        total = len(self.sampler)  # type: ignore[arg-type]  # TypeError where the sampler has no length, as in PyTorch
        return total // self.batch_size if self.drop_last else -(-total // self.batch_size)

    def state_dict(self) -> dict[str, Any]:
        return state_of(self.sampler)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        give_state(self.sampler, state_dict)


def state_of(sampler: Any) -> dict[str, Any]:
    """The sampler's state, empty where it has none."""
    ask = getattr(sampler, "state_dict", None)
    return dict(ask()) if callable(ask) else {}


def give_state(sampler: Any, state: dict[str, Any]) -> None:
    """Let the sampler begin again what ``state_of`` saw it begin."""
    give = getattr(sampler, "load_state_dict", None)
    if callable(give):
        give(state)


def positive(op: str, argument: str, value: Any) -> int:
    """The value, or ArgumentError if it is no integer above zero."""
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ArgumentError(op, argument, f"must be a positive integer, and is {value!r}")
    return value

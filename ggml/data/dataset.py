"""Datasets: by index, and as a stream. The names are those of ``torch.utils.data``."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

import numpy as np

import ggml.ops.create.random as random
from ggml.core.dtypes import bfloat16, bool_
from ggml.core.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeMismatchError
from ggml.ops.create.interop import from_numpy
from ggml.ops.create.random import Generator
from ggml.ops.index.indexing import index_select
from ggml.ops.shape.cutting import unbind
from ggml.tensors.tensor import Tensor

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Samples by index: ``__getitem__``, and ``__len__`` where samplers ask how many there are.

    A dataset with ``__getitems__(indices)`` is asked for a whole batch at once and returns a list of samples.
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Samples as they come: ``__iter__``. Each worker has a copy, which takes its part by ``get_worker_info``."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")

    def __add__(self, other: Dataset[Any]) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Sample i is the tuple of the rows i of all tensors, which have equally many."""

    def __init__(self, *tensors: Tensor) -> None:
        for one in tensors:
            if not isinstance(one, Tensor) or one.ndim == 0:
                raise DTypeError("TensorDataset", "tensors with at least one axis", type(one).__name__)
        if not tensors or any(one.shape[0] != tensors[0].shape[0] for one in tensors):
            shapes = tuple(tuple(one.shape) for one in tensors)
            raise ShapeMismatchError("TensorDataset", "at least one tensor, all with equally many rows", shapes)
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(one[index] for one in self.tensors)

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, ...]]:
        """A row asked for alone is a graph of its own; all rows of a batch are picked by one."""
        return list(zip(*(_rows(one, indices) for one in self.tensors), strict=True))

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])


def _rows(tensor: Tensor, indices: Sequence[int]) -> list[Tensor]:
    """Where numpy can look at the memory, rows are views of it as ``tensor[index]`` is; else they are copied."""
    total = int(tensor.shape[0])
    places = [index + total if index < 0 else index for index in indices]
    for index, place in zip(indices, places, strict=True):
        if not 0 <= place < total:
            raise IndexOutOfRangeError("TensorDataset", f"index {index} is outside of {total} samples")
    if not tensor.device.is_cpu or tensor.dtype in (bool_, bfloat16) or tensor.requires_grad:
        return list(unbind(index_select(tensor, 0, from_numpy(np.asarray(places, np.int64)))))
    array = tensor.numpy()
    return [from_numpy(array[place : place + 1]).reshape(array.shape[1:]) for place in places]


class ConcatDataset(Dataset[Any]):
    """One dataset after the other. ``cumulative_sizes`` are the ends of each."""

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("ConcatDataset", "datasets", "must not be empty")
        for one in self.datasets:
            if isinstance(one, IterableDataset):
                raise DTypeError("ConcatDataset", "datasets with an index; ChainDataset takes streams", "a stream")
        self.cumulative_sizes = list(accumulate(_length("ConcatDataset", one) for one in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexOutOfRangeError("ConcatDataset", f"index {index} is outside of {len(self)} samples")
        which = bisect.bisect_right(self.cumulative_sizes, place)
        return self.datasets[which][place - (self.cumulative_sizes[which - 1] if which else 0)]


class StackDataset(Dataset[Any]):
    """Sample i is the tuple, or the dict by name, of the samples i of all datasets, which have equally many."""

    def __init__(self, *args: Dataset[Any], **kwargs: Dataset[Any]) -> None:
        if bool(args) == bool(kwargs):
            raise ArgumentError("StackDataset", "datasets", "must be given either in order or by name")
        self.datasets: tuple[Dataset[Any], ...] | dict[str, Dataset[Any]] = args or kwargs
        lengths = {_length("StackDataset", one) for one in args or kwargs.values()}
        if len(lengths) > 1:
            raise ShapeMismatchError("StackDataset", "datasets with equally many samples", tuple(sorted(lengths)))
        self._num_samples = lengths.pop()

    def __len__(self) -> int:
        return self._num_samples

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: one[index] for name, one in self.datasets.items()}
        return tuple(one[index] for one in self.datasets)

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """As each dataset gives a whole batch, where it can."""
        if isinstance(self.datasets, dict):
            names, datasets = list(self.datasets), list(self.datasets.values())
            return [dict(zip(names, one, strict=True)) for one in zip(*_columns(datasets, indices), strict=True)]
        return list(zip(*_columns(self.datasets, indices), strict=True))


def _columns(datasets: Sequence[Dataset[Any]], indices: Sequence[int]) -> list[list[Any]]:
    """The samples of each dataset at these indices."""
    found = []
    for one in datasets:
        several = getattr(one, "__getitems__", None)
        found.append(list(several(indices)) if callable(several) else [one[index] for index in indices])
    return found


class ChainDataset(IterableDataset[Any]):
    """One stream after the other."""

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = list(datasets)
        for one in self.datasets:
            if not isinstance(one, IterableDataset):
                raise DTypeError("ChainDataset", "iterable datasets", type(one).__name__)

    def __iter__(self) -> Iterator[Any]:
        for one in self.datasets:
            yield from one  # type: ignore[misc]  # checked above

    def __len__(self) -> int:
        return sum(_length("ChainDataset", one) for one in self.datasets)


class Subset(Dataset[T_co]):
    """The samples of a dataset at these indices, in their order."""

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> T_co:
        if isinstance(index, list):
            return self.dataset[[self.indices[one] for one in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: Sequence[int]) -> list[T_co]:
        wanted = [self.indices[one] for one in indices]
        several = getattr(self.dataset, "__getitems__", None)
        return list(several(wanted)) if callable(several) else [self.dataset[one] for one in wanted]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(
    dataset: Dataset[T_co], lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset[T_co]]:
    """Parts of these lengths that have no sample in common: numbers of samples, or shares of 1.

    Shares are rounded down, and what is left goes to the first parts, one sample each.
    """
    total = _length("random_split", dataset)
    counts = [int(one) for one in lengths]
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1 + 1e-9:
        if any(not 0 <= share <= 1 for share in lengths):
            raise ArgumentError("random_split", "lengths", f"must be shares between 0 and 1: {list(lengths)}")
        counts = [math.floor(total * share) for share in lengths]
        for place in range(total - sum(counts)):
            counts[place % len(counts)] += 1
    if sum(counts) != total or any(count < 0 for count in counts):
        raise ArgumentError("random_split", "lengths", f"add up to {sum(counts)}; the dataset has {total} samples")
    order = random.generator_of("random_split", generator).permutation(total).tolist()
    ends = list(accumulate(counts))
    return [Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends, strict=True)]


def _length(op: str, dataset: Any) -> int:
    if not hasattr(dataset, "__len__"):
        raise DTypeError(op, "a dataset with __len__", type(dataset).__name__)
    return len(dataset)

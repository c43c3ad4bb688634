"""Samples become a batch: what lies at the same place in each is stacked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.dtypes import DType
from ggml.core.errors import DTypeError, ShapeMismatchError
from ggml.ops.create.factories import put
from ggml.ops.shape.concatenation import stack
from ggml.tensors.tensor import Tensor

__all__ = ["default_collate", "default_convert"]


def _dtype_for(kind: np.dtype[Any]) -> DType:
    """The dtype that holds elements of numpy's type: the same one, or what takes its place."""
    for one in (dtypes.float32, dtypes.float16, dtypes.int32, dtypes.int64, dtypes.bool_):
        if one.numpy == kind:
            return one
    if kind.kind == "f":
        return dtypes.float32
    if kind.kind in "iu":
        return dtypes.int32 if kind.itemsize < 4 else dtypes.int64
    raise DTypeError("default_collate", "arrays of numbers", kind)


def as_tensor(array: Any) -> Tensor:
    """A tensor with a copy of the array's values. There is no float64 and nothing small: they become float32, int32."""
    plain = np.asarray(array)
    return put(plain, _dtype_for(plain.dtype), None)


def _is_array(one: Any) -> bool:
    return isinstance(one, (np.ndarray, np.generic)) and one.dtype.kind in "fiub"


def default_convert(data: Any) -> Any:
    """A sample as it is, with arrays as tensors: what a loader without batches does to each."""
    if isinstance(data, Tensor):
        return data
    if _is_array(data):
        return as_tensor(data)
    return _inside(data, default_convert)


def _inside(data: Any, convert: Callable[[Any], Any]) -> Any:
    """The container with each element converted; what is none stays."""
    if isinstance(data, Mapping):
        return {key: convert(value) for key, value in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(convert(one) for one in data))
    if isinstance(data, (tuple, list)):
        return [convert(one) for one in data]  # PyTorch makes lists of tuples, too
    return data


def pinned(data: Any) -> Any:
    """The batch with its tensors in memory that other devices read fast."""
    return data.pin_memory() if isinstance(data, Tensor) else _inside(data, pinned)


def default_collate(batch: Sequence[Any]) -> Any:
    """One sample of samples: tensors, arrays and numbers get a first axis, texts a list, containers what they hold.

    Tuples become lists of their columns, as in PyTorch; named tuples and dicts stay what they are. DTypeError for
    other kinds of samples, ShapeMismatchError where samples are not alike.
    """
    samples = list(batch)
    if not samples:
        raise ShapeMismatchError("default_collate", "at least one sample", 0)
    first = samples[0]
    if isinstance(first, Tensor):
        return _stacked(samples)
    if _is_array(first):
        _check_shapes([np.shape(one) for one in samples])
        return as_tensor(np.stack([np.asarray(one) for one in samples]))
    if isinstance(first, bool):
        return put(np.asarray(samples), dtypes.bool_, None)
    if isinstance(first, int):
        return put(_integers(samples), dtypes.int64, None)
    if isinstance(first, float):
        return put(np.asarray(samples, np.float32), dtypes.float32, None)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return {key: default_collate([one[key] for one in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        if any(len(one) != len(first) for one in samples):
            raise ShapeMismatchError("default_collate", "sequences of one length", [len(one) for one in samples])
        columns = [default_collate(column) for column in zip(*samples, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    raise DTypeError(
        "default_collate",
        "tensors, arrays, numbers, texts, and dicts, lists and tuples of them; or give a collate_fn",
        type(first).__name__,
    )


def _integers(samples: list[Any]) -> NDArray[Any]:
    try:
        return np.asarray(samples, np.int64)
    except OverflowError:
        raise DTypeError("default_collate", "integers of 64 bits", "larger ones") from None


def _check_shapes(shapes: list[tuple[int, ...]]) -> None:
    if any(shape != shapes[0] for shape in shapes):
        raise ShapeMismatchError("default_collate", "samples of one shape", sorted(set(shapes)))


def _stacked(samples: list[Tensor]) -> Tensor:
    """Along a new first axis. In the CPU's memory that is a copy, which needs no graph."""
    if not all(isinstance(one, Tensor) for one in samples):
        raise DTypeError("default_collate", "only tensors", {type(one).__name__ for one in samples})
    _check_shapes([tuple(one.shape) for one in samples])
    dtype = samples[0].dtype
    if dtype.numpy is None or any(
        not one.device.is_cpu or one.requires_grad or one.dtype is not dtype for one in samples
    ):
        return stack(samples)
    return put(np.stack([one.numpy() for one in samples]), dtype, None)

"""What operations on matrices share that numpy (LAPACK) computes on the host, in float64 and rounded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.devices import CPU
from ggml.core.dtypes import float32
from ggml.core.errors import DTypeError, LinAlgError, OutOfMemoryError, ShapeMismatchError
from ggml.registry.arguments import tensor
from ggml.registry.host_results import read, written
from ggml.registry.table import Function, op
from ggml.tensors.tensor import Tensor

Array = NDArray[Any]


def matrix_row(sample: str, *, methods: tuple[str, ...] = (), place: str = "") -> Callable[[Function], Function]:
    """The row of an operation on float32 matrices that PyTorch keeps in ``torch.linalg`` (or at ``place``)."""

    def enter(function: Function) -> Function:
        where = place or "linalg." + function.__name__.removeprefix("linalg_")
        row = op(runs="host", sample=sample, dtypes=(float32,), torch=where, methods=methods)
        return row(function)

    return enter


def floats(name: str, value: Any, argument: str = "A") -> Tensor:
    """A float32 tensor: PyTorch has no decompositions of 16 bits either."""
    x = tensor(name, value, argument)
    if x.dtype is not float32:
        raise DTypeError(name, f"a float32 {argument}", x.dtype)
    return x


def matrices(name: str, value: Any, argument: str = "A") -> Tensor:
    """float32 [..., m, n]."""
    x = floats(name, value, argument)
    if x.ndim < 2:
        raise ShapeMismatchError(name, f"an {argument} of at least two axes", tuple(x.shape))
    return x


def squares(name: str, value: Any, argument: str = "A") -> Tensor:
    """float32 [..., n, n]."""
    x = matrices(name, value, argument)
    if x.shape[-1] != x.shape[-2]:
        raise ShapeMismatchError(name, f"square matrices as {argument}", tuple(x.shape))
    return x


def exact(name: str, x: Tensor) -> Array:
    """The elements in float64; TracingError while a function is compiled."""
    return np.asarray(read(name, x), np.float64)


def rounded(array: Any, like: Tensor) -> Tensor:
    """A float32 tensor on the device of another one."""
    return written(np.asarray(array, np.float64), float32, like.device)


def whole(array: Any, like: Tensor, dtype: dtypes.DType = dtypes.int64) -> Tensor:
    """An integer tensor on the device of another one."""
    return written(np.asarray(array), dtype, like.device)


def turned(array: Array) -> Array:
    """The transposes of matrices."""
    return np.swapaxes(array, -1, -2)


def finite(name: str, array: Array) -> None:
    if not np.isfinite(array).all():
        raise LinAlgError(name, "the matrices have elements that are not finite")


@contextmanager
def answering(name: str, why: str = "the algorithm did not converge") -> Iterator[None]:
    """numpy's errors as ours, and no warnings of overflow: infinities are answers."""
    try:
        with np.errstate(all="ignore"):
            yield
    except np.linalg.LinAlgError as error:
        raise LinAlgError(name, why) from error
    except MemoryError as error:
        raise OutOfMemoryError(0, CPU.memory_bytes[0], str(CPU), f"{name}: the matrices are too large") from error


def singular_values(name: str, x: Tensor) -> Array:
    """The singular values of matrices in float64, the largest first."""
    array = exact(name, x)
    finite(name, array)
    if not array.size:
        return np.zeros((*array.shape[:-2], min(array.shape[-2:])))
    with answering(name):
        return np.asarray(np.linalg.svd(array, compute_uv=False))

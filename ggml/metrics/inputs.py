"""Predictions and targets as arrays on the host, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.tensors.tensor import Tensor

#: Classes are numbers below this: a larger one is a token or a hash in the wrong place, and would take much memory.
MAX_CLASSES = 1 << 24


def array(op: str, value: Any, argument: str) -> NDArray[Any]:
    """The elements of a tensor or of anything that NumPy takes for numbers, or DTypeError."""
    if isinstance(value, Tensor):
        if value.dtype.is_quantized:
            raise DTypeError(op, f"numbers as {argument}", value.dtype)
        plain = value.detach()
        if plain.dtype.is_floating_point:
            plain = plain.to(dtypes.float32)
        return plain.cpu().numpy()
    try:
        found = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        found = np.asarray(None)
    if found.dtype.kind not in "fiub":
        raise DTypeError(op, f"a tensor or numbers as {argument}", type(value).__name__)
    return found


def classes(op: str, value: NDArray[Any], argument: str) -> NDArray[np.int64]:
    """Numbers of classes in one row, or ArgumentError for one that cannot be one."""
    if value.dtype.kind == "f":
        raise DTypeError(op, f"integers as {argument}", value.dtype)
    flat = value.reshape(-1).astype(np.int64)
    if flat.size and not 0 <= int(flat.min()) <= int(flat.max()) < MAX_CLASSES:
        raise ArgumentError(op, argument, f"must hold classes from 0 to {MAX_CLASSES - 1}: {flat.min()}, {flat.max()}")
    return flat


def labels(op: str, preds: Any, target: Any, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Predicted and true classes, one beside the other.

    ``preds`` are classes in the shape of ``target``; or scores of that shape, of which those above ``threshold`` mean
    class 1; or scores [N, C, ...] for a target [N, ...], of which the largest, and the first of equals, is the class.
    """
    given, wanted = array(op, preds, "preds"), array(op, target, "target")
    if given.ndim == wanted.ndim + 1 and given.dtype.kind == "f":
        if (given.shape[0], *given.shape[2:]) != wanted.shape or given.shape[1] == 0:
            raise ShapeMismatchError(op, f"scores [N, C, ...] for the target {wanted.shape}", given.shape)
        given = given.argmax(axis=1)
    elif given.shape != wanted.shape:
        raise ShapeMismatchError(op, f"preds in the target's shape {wanted.shape}, or scores [N, C, ...]", given.shape)
    elif given.dtype.kind == "f":
        given = given > threshold
    return classes(op, given, "preds"), classes(op, wanted, "target")


def need_counted(op: str, count: float) -> None:
    """ArgumentError where nothing was counted in: the value of nothing is not 0."""
    if not count:
        raise ArgumentError(op, "compute()", "needs at least one element: call update() first")

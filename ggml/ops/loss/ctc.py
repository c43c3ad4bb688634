"""Connectionist temporal classification (Graves et al., 2006): sequences without an alignment, on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.dtypes import float32
from ggml.core.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeMismatchError
from ggml.ops.loss.pointwise import reduced, reduction_of
from ggml.registry.arguments import integer, tensor
from ggml.registry.host_results import read, written
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor

_NAME = "ctc_loss"
Array = NDArray[Any]


def _lengths(value: Any, argument: str, count: int, batched: bool) -> Array:
    """One length for each sequence, from a tensor or a sequence of integers."""
    if isinstance(value, Tensor):
        given = tensor(_NAME, value, argument)
        if not given.dtype.is_integer:
            raise DTypeError(_NAME, f"integers as {argument}", given.dtype)
        array = np.asarray(read(_NAME, given), np.int64)
    else:
        items = value if isinstance(value, (tuple, list)) else [value]
        array = np.asarray([integer(_NAME, item, argument) for item in items], np.int64)
    if array.ndim > 1 or array.size != count or (batched and not array.ndim):
        raise ShapeMismatchError(_NAME, f"{count} of {argument}", array.shape)
    if (array < 0).any():
        raise ArgumentError(_NAME, argument, "must not be negative")
    return array.reshape(count)


def _labels(targets: Tensor, lengths: Array, batched: bool) -> Array:
    """The targets [N, S] of all sequences, from rows or from one row after the other."""
    flat = np.asarray(read(_NAME, targets), np.int64)
    most = int(lengths.max(initial=0))
    if flat.ndim == 2 and batched:
        if flat.shape[0] != len(lengths) or most > flat.shape[1]:
            raise ShapeMismatchError(_NAME, f"targets [{len(lengths)}, at least {most}]", flat.shape)
        return flat[:, :most]
    if flat.ndim != 1 or lengths.sum() > flat.size or (batched and lengths.sum() != flat.size):
        raise ShapeMismatchError(_NAME, f"targets [{len(lengths)}, S] or [{int(lengths.sum())}]", flat.shape)
    rows = np.zeros((len(lengths), most), np.int64)
    begin = 0
    for row, length in zip(rows, lengths, strict=True):
        row[:length] = flat[begin : begin + length]
        begin += length
    return rows


def _losses(chances: Array, labels: Array, times: Array, lengths: Array, blank: int) -> Array:
    """The negative logarithms of the likelihood of each sequence: chances [T, N, C], labels [N, S]."""
    count, width = labels.shape[0], 2 * labels.shape[1] + 1
    marks = np.full((count, width), blank, np.int64)
    marks[:, 1::2] = labels
    skips = np.zeros((count, width), bool)  # from one label to the next where they differ, without a blank between
    skips[:, 2:] = (marks[:, 2:] != blank) & (marks[:, 2:] != marks[:, :-2])
    rows = np.arange(count)
    alpha = np.full((count, width), -np.inf)
    for time in range(chances.shape[0]):
        here = chances[time][rows[:, None], marks]
        if time == 0:
            step = np.full((count, width), -np.inf)
            step[:, :2] = here[:, :2]
        else:
            one = np.pad(alpha, ((0, 0), (1, 0)), constant_values=-np.inf)[:, :-1]
            two = np.where(skips, np.pad(alpha, ((0, 0), (2, 0)), constant_values=-np.inf)[:, :width], -np.inf)
            step = np.logaddexp(np.logaddexp(alpha, one), two) + here
        alpha = np.where((time < times)[:, None], step, alpha)
    last = alpha[rows, 2 * lengths]
    before = np.where(lengths > 0, alpha[rows, np.maximum(2 * lengths - 1, 0)], -np.inf)
    return np.where((times == 0) & (lengths == 0), 0.0, -np.logaddexp(last, before))


@op(
    runs="host",
    sample="ctc_loss",
    dtypes=(float32,),
    torch="nn.functional.ctc_loss",
    methods=(),
    differs="Computed at once, so it cannot be compiled. Targets outside the classes are refused.",
)
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | tuple[int, ...],
    target_lengths: Tensor | tuple[int, ...],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """How unlikely targets are under log_probs [T, N, C] (or [T, C]) of any alignment with blanks.

    "mean" is that of the losses over the lengths of their targets. ``zero_infinity`` makes impossible targets count 0.
    """
    how = reduction_of(_NAME, reduction)
    x, wanted = tensor(_NAME, log_probs, "log_probs"), tensor(_NAME, targets, "targets")
    if x.dtype is not float32:
        raise DTypeError(_NAME, "float32 log_probs", x.dtype)
    if not wanted.dtype.is_integer:
        raise DTypeError(_NAME, "integers as targets", wanted.dtype)
    if x.ndim not in (2, 3):
        raise ShapeMismatchError(_NAME, "log_probs [T, N, C] or [T, C]", tuple(x.shape))
    batched, mark = x.ndim == 3, integer(_NAME, blank, "blank")
    if not 0 <= mark < x.shape[-1]:
        raise ArgumentError(_NAME, "blank", f"must lie in [0, {x.shape[-1]}): {mark}")
    count = x.shape[1] if batched else 1
    times = _lengths(input_lengths, "input_lengths", count, batched)
    lengths = _lengths(target_lengths, "target_lengths", count, batched)
    if (times > x.shape[0]).any():
        raise ArgumentError(_NAME, "input_lengths", f"must be at most {x.shape[0]}")
    labels = _labels(wanted, lengths, batched)
    used = labels[np.arange(labels.shape[1]) < lengths[:, None]]
    if ((used < 0) | (used >= x.shape[-1])).any():
        raise IndexOutOfRangeError(_NAME, f"a target is outside of {x.shape[-1]} classes")
    labels = np.clip(labels, 0, x.shape[-1] - 1)
    chances = np.asarray(read(_NAME, x), np.float64)
    with np.errstate(all="ignore"):
        losses = _losses(chances if batched else chances[:, None], labels, times, lengths, mark)
    if zero_infinity:
        losses = np.where(np.isinf(losses), 0.0, losses)
    if how == "mean":
        losses = losses / np.maximum(lengths, 1)
    return reduced(written(losses if batched or how != "none" else losses[0], float32, x.device), how, float32)

"""Convolutions, pooling, folding and resampling: linear in their input, so that each has its transpose."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ggml.autograd.derivative import Gradients, Step, derivative
from ggml.core import dtypes
from ggml.core.node import Shape
from ggml.ops.create.factories import put, zeros
from ggml.ops.linalg.matmul import matmul
from ggml.ops.shape.permuting import permute
from ggml.ops.spatial.convolution import convolution
from ggml.ops.spatial.fold import unfold
from ggml.ops.spatial.padding import constant_pad
from ggml.ops.spatial.pooling import window_place
from ggml.ops.spatial.resampling import resample
from ggml.ops.spatial.transposed import transposed_convolution
from ggml.tensors.tensor import Tensor


def _fitted(x: Tensor, shape: Shape, first: int = 2) -> Tensor:
    """The spatial axes brought to these extents, at their ends."""
    have = x._node.shape
    high = tuple(0 if d < first else shape[d] - have[d] for d in range(len(have)))
    return constant_pad(x, (0,) * len(have), high, 0.0)


def _by_kernel(x: Tensor, g: Tensor, shape: Shape, how: Any) -> Tensor:
    """The gradient of a weight [out, C / groups, ...]: ``g`` as the windows, which move over the input.

    The batch takes the place of the channels, strides that of dilations.
    """
    stride, padding, dilation, groups = how
    batch, channels, *size = x._node.shape
    rank = len(size)
    if rank == 2 and groups == 1:
        # Windows and gradients both lie in the order of positions, over which ggml's product sums.
        windows = unfold(x, shape[2:], dilation, padding, stride)
        return matmul(g.reshape(batch, shape[0], -1), windows.mT).sum(0).reshape(shape)
    inner = tuple(range(3, 3 + rank))
    images = permute(x.reshape(batch, groups, channels // groups, *size), (2, 1, 0, *inner))
    images = images.reshape(channels // groups, groups * batch, *size)
    weights = permute(g, (1, 0, *range(2, 2 + rank)))
    found = convolution(images, weights, None, dilation, padding, stride, groups)
    return _fitted(permute(found, (1, 0, *range(2, 2 + rank))), shape)


def _bias(step: Step, g: Tensor) -> tuple[Tensor, ...]:
    return (g.sum([d for d in range(g.ndim) if d != 1]),) if len(step) == 3 else ()


@derivative("convolution")
def _convolution(step: Step, g: Tensor) -> Gradients:
    stride, padding, dilation, groups = how = step.params
    first = second = None
    if step.needs(0):
        size, kernel, out = step.shape(0)[2:], step.shape(1)[2:], g._node.shape[2:]
        more = tuple(
            extent - ((o - 1) * s - 2 * p + d * (k - 1) + 1)
            for extent, o, s, p, d, k in zip(size, out, stride, padding, dilation, kernel, strict=True)
        )
        edge = tuple(d * (k - 1) - p for d, k, p in zip(dilation, kernel, padding, strict=True))
        if groups == 1 and min(edge) >= 0 and all(by == 1 for by in stride):
            turned = permute(step[1].flip(tuple(range(2, 2 + len(kernel)))), (1, 0, *range(2, 2 + len(kernel))))
            first = convolution(g, turned, None, stride, edge, dilation, 1)
        else:
            first = transposed_convolution(g, step[1], None, stride, padding, more, dilation, groups)
    if step.needs(1):
        second = _by_kernel(step[0], g, step.shape(1), how)
    return (first, second, *_bias(step, g))


@derivative("transposed_convolution")
def _transposed(step: Step, g: Tensor) -> Gradients:
    stride, padding, dilation, groups = how = step.params
    first = second = None
    if step.needs(0):
        first = _fitted(convolution(g, step[1], None, stride, padding, dilation, groups), step.shape(0))
    if step.needs(1):
        second = _by_kernel(g, step[0], step.shape(1), how)
    return (first, second, *_bias(step, g))


@derivative("window_max")
def _window_max(step: Step, g: Tensor) -> Gradients:
    (rank, geometry), shape = step.params, step.shape(0)
    lead, size = shape[: len(shape) - rank], math.prod(shape[len(shape) - rank :])
    places = window_place(step[0], rank, geometry, g._node.shape).reshape(math.prod(lead), -1)
    flat = zeros(math.prod(lead), size, dtype=g.dtype, device=g.device)
    return (flat.scatter_add(1, places, g.reshape(math.prod(lead), -1)).reshape(shape),)


@derivative("window_mean")
def _window_mean(step: Step, g: Tensor) -> Gradients:
    (rank, geometry), shape = step.params, step.shape(0)
    if geometry[0]:
        return (_adaptive(g, rank, shape),)
    kernel, stride, low = (geometry[1 + 3 * part : 4 + 3 * part][3 - rank :] for part in range(3))
    counts_padding, divisor = geometry[13], geometry[14]
    size, out = shape[len(shape) - rank :], g._node.shape[g.ndim - rank :]
    counts = np.full((), 1.0)
    for extent, count, k, s, p in zip(size, out, kernel, stride, low, strict=True):
        begin = np.arange(count) * s - p
        end = np.minimum(begin + k, extent + p)
        length = end - begin if counts_padding else np.minimum(end, extent) - np.maximum(begin, 0)
        counts = counts[..., None] * length
    shares = put(np.asarray(1.0 / (divisor or np.maximum(counts, 1)) * np.ones(out), np.float32), g.dtype, g.device)
    planes = math.prod(shape[: len(shape) - rank])
    ones = put(np.ones((1, 1, *kernel), np.float32), g.dtype, g.device)
    # Windows over the end of the input leave more behind it than there is: it is cut off.
    whole = [max((o - 1) * s + k - p, e) for o, s, k, p, e in zip(out, stride, kernel, low, size, strict=True)]
    more = tuple(w - ((o - 1) * s - p + k) + p for w, o, s, p, k in zip(whole, out, stride, low, kernel, strict=True))
    spread = transposed_convolution(
        (g * shares).reshape(planes, 1, *out), ones, None, stride, low, more, (1,) * rank, 1
    )
    return (_fitted(spread, (planes, 1, *size)).reshape(shape),)


def _adaptive(g: Tensor, rank: int, shape: Shape) -> Tensor:
    """Each axis by itself: result ``i`` of ``n`` is the mean from ``i / n`` to ``(i + 1) / n`` of the axis, rounded
    outwards."""
    for at in range(len(shape) - rank, len(shape)):
        extent, count = shape[at], g._node.shape[at]
        shares = np.zeros((count, extent), np.float32)
        for place in range(count):
            begin, end = place * extent // count, -(-(place + 1) * extent // count)
            shares[place, begin:end] = 1 / (end - begin)
        g = matmul(g.movedim(at, -1), put(shares, dtypes.float32, g.device)).movedim(-1, at)
    return g


@derivative("fold")
def _fold(step: Step, g: Tensor) -> Gradients:
    kernel, stride, padding, dilation, _ = step.params
    return (unfold(g, kernel, dilation, padding, stride).reshape(step.shape(0)),)


@derivative("resample")
def _resample(step: Step, g: Tensor) -> Gradients:
    at, mode, scale, align_corners, antialias = step.params
    size, out = step.shape(0)[at], g._node.shape[at]
    eye = put(np.eye(size, dtype=np.float32), dtypes.float32, g.device)
    matrix = resample(eye, 1, out, mode, scale, align_corners, antialias)
    return (matmul(g.movedim(at, -1), matrix.mT).movedim(-1, at),)

"""Movement of elements: reshaping, repeating, cutting, joining."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ggml.autograd.derivative import Gradients, Step, derivative
from ggml.core import dtypes
from ggml.core.node import Shape
from ggml.graph.value import row_major
from ggml.ops.create.factories import put, zeros
from ggml.ops.index.assignment import pasted
from ggml.ops.shape.cutting import narrow
from ggml.ops.shape.permuting import permute
from ggml.ops.shape.strided import strided
from ggml.ops.spatial.padding import constant_pad
from ggml.tensors.tensor import Tensor


@derivative("reshape")
def _reshape(step: Step, g: Tensor) -> Gradients:
    return (g.reshape(step.shape(0)),)


@derivative("expand")
def _expand(step: Step, g: Tensor) -> Gradients:
    return (g,)  # the engine sums over what was repeated


@derivative("permute")
def _permute(step: Step, g: Tensor) -> Gradients:
    (axes,) = step.params
    back = tuple(axes.index(d) for d in range(len(axes)))
    return (permute(g, back),)


@derivative("flip")
def _flip(step: Step, g: Tensor) -> Gradients:
    (turned,) = step.params
    return (g.flip(turned) if turned else g,)


@derivative("repeat")
def _repeat(step: Step, g: Tensor) -> Gradients:
    (counts,), shape = step.params, step.shape(0)
    shape = (1,) * (len(counts) - len(shape)) + shape
    for at in reversed(range(len(counts))):  # one axis at a time, so that there are never more than there may be
        if counts[at] != 1:
            have = g._node.shape
            outer, inner = int(np.prod(have[:at])), int(np.prod(have[at + 1 :]))
            g = g.reshape(outer, counts[at], shape[at], inner).sum(1).reshape(*have[:at], shape[at], *have[at + 1 :])
    return (g.reshape(step.shape(0)),)


@derivative("cat")
def _cat(step: Step, g: Tensor) -> Gradients:
    (at,), first, parts = step.params, 0, []
    for place in range(len(step)):
        extent = step.shape(place)[at]
        parts.append(narrow(g, at, first, extent) if step.needs(place) else None)
        first += extent
    return parts


@derivative("strided_slice")
def _slice(step: Step, g: Tensor) -> Gradients:
    (starts, steps), shape = step.params, step.shape(0)
    strides = row_major(shape)
    offset = sum(start * stride for start, stride in zip(starts, strides, strict=True))
    by = tuple(one * stride for one, stride in zip(steps, strides, strict=True))
    have = g._node.shape
    if all(one == 1 or extent == 1 for one, extent in zip(steps, have, strict=True)):
        high = [whole - start - extent for whole, start, extent in zip(shape, starts, have, strict=True)]
        return (constant_pad(g, tuple(starts), tuple(high), 0.0),)
    return (pasted(zeros(shape, dtype=g.dtype, device=g.device), g, by, offset),)


@derivative("constant_pad")
def _pad(step: Step, g: Tensor) -> Gradients:
    low, high, _ = step.params
    return (constant_pad(g, tuple(-one for one in low), tuple(-one for one in high), 0.0),)


@derivative("pasted")
def _pasted(step: Step, g: Tensor) -> Gradients:
    strides, offset = step.params
    shape = step.shape(1)
    first = None
    if step.needs(0):
        first = pasted(g, zeros(shape, dtype=g.dtype, device=g.device), strides, offset)
    return first, strided(g, shape, strides, offset) if step.needs(1) else None


@derivative("tril", "triu")
def _triangle(step: Step, g: Tensor) -> Gradients:
    (shift,) = step.params
    return (g.tril(shift) if step.name == "tril" else g.triu(shift),)


def _collected(g: Tensor, places: NDArray[np.int64], shape: Shape) -> Tensor:
    """Each element of ``g`` added at its place in a tensor of this shape, counted over all elements."""
    index = put(places.reshape(-1), dtypes.int64, g.device)
    count = int(np.prod(shape))
    return zeros(count, dtype=g.dtype, device=g.device).index_add(0, index, g.reshape(-1)).reshape(shape)


@derivative("strided")
def _strided(step: Step, g: Tensor) -> Gradients:
    strides, offset = step.params
    places = np.full((), offset, np.int64)
    for extent, stride in zip(g._node.shape, strides, strict=True):
        places = places[..., None] + np.arange(extent, dtype=np.int64) * stride
    return (_collected(g, places, step.shape(0)),)


@derivative("windows")
def _windows(step: Step, g: Tensor) -> Gradients:
    (kernel, stride, dilation), shape = step.params, step.shape(0)
    rank = len(kernel)
    outer, own = shape[: len(shape) - rank], row_major(shape)
    have = g._node.shape
    steps = [*own[: len(outer)]]
    inner = own[len(outer) :]
    steps += [a * by for a, by in zip(inner, stride, strict=True)] + [
        a * by for a, by in zip(inner, dilation, strict=True)
    ]
    places = np.zeros((), np.int64)
    for extent, by in zip(have, steps, strict=True):
        places = places[..., None] + np.arange(extent, dtype=np.int64) * by
    return (_collected(g, places, shape),)

"""The way back from the largest elements of windows to where they stood."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.node import Shape
from ggml.ops.index.scatter import scatter
from ggml.ops.shape.views import reshape
from ggml.ops.spatial.axes import Extents, extents, need_sane
from ggml.ops.spatial.resampling import interpolate
from ggml.registry.arguments import integer, strictly_floating, tensor
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor, filled

_FUNCTIONAL = "nn.functional."


def _size(name: str, shape: Shape, kernel: Shape, stride: Shape, padding: Shape, wanted: Any) -> Shape:
    """The extents of the result: the smallest that the windows reach, or near to it."""
    known = tuple(
        (extent - 1) * step + width - 2 * pad
        for extent, width, step, pad in zip(shape, kernel, stride, padding, strict=True)
    )
    if wanted is not None:
        named = [integer(name, one, "output_size") for one in wanted]
        named = named[2:] if len(named) == len(kernel) + 2 else named
        if len(named) != len(kernel):
            raise ArgumentError(name, "output_size", f"must have {len(kernel)} or {len(kernel) + 2} entries: {wanted}")
        for got, extent, step in zip(named, known, stride, strict=True):
            if not extent - step < got < extent + step:
                raise ArgumentError(name, "output_size", f"must lie between {extent - step} and {extent + step}: {got}")
        known = tuple(named)
    if any(extent < 1 for extent in known):
        raise ArgumentError(name, "output_size", f"leaves no elements: {known}")
    return known


def _max_unpool(rank: int) -> Callable[..., Tensor]:
    name = f"max_unpool{rank}d"

    def function(
        input: Tensor,
        indices: Tensor,
        kernel_size: Extents,
        stride: Extents | None = None,
        padding: Extents = 0,
        output_size: Sequence[int] | None = None,
    ) -> Tensor:
        x, places = strictly_floating(name, input), tensor(name, indices, "indices")
        if places.dtype is not dtypes.int64:
            raise DTypeError(name, "int64 indices", places.dtype)
        if x.ndim not in (rank + 1, rank + 2) or places._node.shape != x._node.shape:
            wanted = f"{rank + 1} or {rank + 2} axes, and an index for each element"
            raise ShapeMismatchError(name, wanted, (tuple(x.shape), tuple(places.shape)))
        if 0 in x._node.shape[x.ndim - rank - 1 :]:
            raise ShapeMismatchError(name, "elements along every axis but the first", tuple(x.shape))
        kernel, pad = extents(name, kernel_size, "kernel_size", rank), extents(name, padding, "padding", rank, 0)
        step = kernel if stride is None else extents(name, stride, "stride", rank)
        lead, inner = x._node.shape[: x.ndim - rank], x._node.shape[x.ndim - rank :]
        size = _size(name, inner, kernel, step, pad, output_size)
        need_sane(name, (*lead, *size))
        empty = filled((*lead, math.prod(size)), 0, x.dtype, x.device)
        flat = (*lead, math.prod(inner))
        return reshape(scatter(empty, -1, reshape(places, flat), reshape(x, flat)), (*lead, *size))

    function.__name__ = name
    function.__doc__ = f"The elements where ``indices`` of ``max_pool{rank}d`` say they stood, and 0 elsewhere."
    return op(runs="composed", sample="max_unpool", torch=_FUNCTIONAL + name, methods=())(function)


max_unpool1d, max_unpool2d, max_unpool3d = (_max_unpool(rank) for rank in (1, 2, 3))


@op(runs="composed", sample="upsample_old", torch="nn.functional.upsample_nearest", methods=())
def upsample_nearest(input: Tensor, size: Extents | None = None, scale_factor: Any = None) -> Tensor:
    """An older name of ``interpolate`` in its mode "nearest"."""
    return interpolate(input, size, scale_factor, "nearest")


@op(runs="composed", sample="upsample_old", torch="nn.functional.upsample_bilinear", methods=())
def upsample_bilinear(input: Tensor, size: Extents | None = None, scale_factor: Any = None) -> Tensor:
    """An older name of ``interpolate`` in its mode "bilinear", with ``align_corners``."""
    return interpolate(input, size, scale_factor, "bilinear", True)

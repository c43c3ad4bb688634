"""Pooling into so many parts of about equal size, whatever the extents are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ggml.core.errors import ArgumentError
from ggml.core.node import Shape
from ggml.ops.spatial.axes import batched, extents, need_sane, unbatched
from ggml.ops.spatial.pooling import geometry_of, need_elements, window_max, window_mean, window_place
from ggml.registry.arguments import strictly_floating
from ggml.registry.results import ValuesAndIndices
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor


def _adaptive_geometry() -> tuple[int, ...]:
    return (1, *geometry_of((1,), (1,), (0,), (1,))[1:])


def _wanted(name: str, output_size: Any, shape: Shape, may_keep: bool) -> Shape:
    """The extents asked for; None keeps one."""
    rank = len(shape)
    given = list(output_size) if isinstance(output_size, (tuple, list)) else [output_size] * rank
    if len(given) != rank:
        raise ArgumentError(name, "output_size", f"must be one number or {rank}, not {tuple(given)}")
    kept = [have if one is None and may_keep else one for one, have in zip(given, shape, strict=True)]
    wanted = extents(name, kept, "output_size", rank, low=0)
    need_sane(name, wanted)
    return wanted


def _adaptive_avg(rank: int) -> Callable[..., Tensor]:
    name = f"adaptive_avg_pool{rank}d"

    def function(input: Tensor, output_size: Any) -> Tensor:
        x, had_batch = batched(name, strictly_floating(name, input), rank)
        need_elements(name, x, 2)
        out = _wanted(name, output_size, x._node.shape[2:], rank > 1)
        shape = (*x._node.shape[:2], *out)
        return unbatched(window_mean(x, rank, _adaptive_geometry(), shape), had_batch)

    function.__name__ = name
    function.__doc__ = f"The last {rank} axes brought to ``output_size`` by means of windows of about equal size."
    return op(runs="composed", sample="adaptive_pool", torch=f"nn.functional.{name}", methods=())(function)


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = (_adaptive_avg(rank) for rank in (1, 2, 3))


def _adaptive_max(rank: int) -> Callable[..., Any]:
    name = f"adaptive_max_pool{rank}d"

    def function(input: Tensor, output_size: Any, return_indices: bool = False) -> Tensor | ValuesAndIndices:
        x, had_batch = batched(name, strictly_floating(name, input), rank)
        need_elements(name, x)
        out = _wanted(name, output_size, x._node.shape[2:], rank > 1)
        shape = (*x._node.shape[:2], *out)
        largest = unbatched(window_max(x, rank, _adaptive_geometry(), shape), had_batch)
        if not return_indices:
            return largest
        return ValuesAndIndices(largest, unbatched(window_place(x, rank, _adaptive_geometry(), shape), had_batch))

    function.__name__ = name
    function.__doc__ = f"The last {rank} axes brought to ``output_size`` by the largest elements of windows."
    return op(runs="composed", sample="adaptive_pool", torch=f"nn.functional.{name}", methods=())(function)


adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = (_adaptive_max(rank) for rank in (1, 2, 3))

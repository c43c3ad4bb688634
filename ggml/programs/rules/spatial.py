"""Convolutions, pooling, borders and other sizes of images, with ATen's arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ggml.core.errors import ArgumentError
from ggml.ops.namespace import TABLE
from ggml.ops.spatial.resampling import interpolate
from ggml.programs.rules.table import lowering
from ggml.registry.arguments import tensor
from ggml.tensors.tensor import Tensor


@lowering("aten.convolution.default")
def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    rank = tensor("convolution", weight, "weight").ndim - 2
    if rank not in (1, 2, 3):
        raise ArgumentError("convolution", "weight", f"has {rank + 2} axes")
    result: Tensor
    if transposed:
        function = TABLE[f"conv_transpose{rank}d"].function
        result = function(input, weight, bias, stride, padding, output_padding, groups, dilation)
    else:
        result = TABLE[f"conv{rank}d"].function(input, weight, bias, stride, padding, dilation, groups)
    return result


def _transposed(rank: int) -> Any:
    def function(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Sequence[int] | int = 1,
        padding: Sequence[int] | int = 0,
        output_padding: Sequence[int] | int = 0,
        groups: int = 1,
        dilation: Sequence[int] | int = 1,
    ) -> Tensor:
        row = TABLE[f"conv_transpose{rank}d"].function
        result: Tensor = row(input, weight, bias, stride, padding, output_padding, groups, dilation)
        return result

    return function


lowering("aten.conv_transpose1d.default")(_transposed(1))
lowering("aten.conv_transpose2d.input")(_transposed(2))
lowering("aten.conv_transpose3d.input")(_transposed(3))


def _max_pool(rank: int) -> Any:
    def function(
        input: Tensor,
        kernel_size: Sequence[int],
        stride: Sequence[int] = (),
        padding: Sequence[int] | int = 0,
        dilation: Sequence[int] | int = 1,
        ceil_mode: bool = False,
    ) -> tuple[Tensor, Tensor]:
        row = TABLE[f"max_pool{rank}d"].function
        values, places = row(input, kernel_size, stride or kernel_size, padding, dilation, ceil_mode, True)
        return values, places

    return function


lowering("aten.max_pool2d_with_indices.default")(_max_pool(2))
lowering("aten.max_pool3d_with_indices.default")(_max_pool(3))


@lowering("aten.adaptive_max_pool2d.default")
def adaptive_max_pool(input: Tensor, output_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    values, places = TABLE["adaptive_max_pool2d"].function(input, output_size, True)
    return values, places


lowering("aten._adaptive_avg_pool2d.default")(TABLE["adaptive_avg_pool2d"].function)
lowering("aten._adaptive_avg_pool3d.default")(TABLE["adaptive_avg_pool3d"].function)


def _border(mode: str) -> Any:
    def function(input: Tensor, padding: Sequence[int]) -> Tensor:
        result: Tensor = TABLE["pad"].function(input, padding, mode)
        return result

    return function


for _rank in (1, 2, 3):
    lowering(f"aten.reflection_pad{_rank}d.default")(_border("reflect"))
    lowering(f"aten.replication_pad{_rank}d.default")(_border("replicate"))


def _resized(mode: str, has_corners: bool, antialias: bool) -> Any:
    def resize(input: Tensor, output_size: Sequence[int] | None, scales: Sequence[float], align: bool | None) -> Tensor:
        given = [one for one in scales if one is not None]
        size, factors = (None, given) if given else (output_size, None)
        return interpolate(input, size, factors, mode, align, None, antialias)

    def with_corners(input: Tensor, output_size: Sequence[int] | None, align_corners: bool, *scales: Any) -> Tensor:
        return resize(input, output_size, _flat(scales), align_corners)

    def without(input: Tensor, output_size: Sequence[int] | None, *scales: Any) -> Tensor:
        return resize(input, output_size, _flat(scales), None)

    return with_corners if has_corners else without


def _flat(scales: tuple[Any, ...]) -> list[Any]:
    """One factor for each axis: one overload lists them, the other has them one by one."""
    if len(scales) == 1 and isinstance(scales[0], (tuple, list)):
        return list(scales[0])
    return list(scales)


for _name, _mode, _has_corners in (
    ("nearest1d", "nearest", False),
    ("nearest2d", "nearest", False),
    ("nearest3d", "nearest", False),
    ("_nearest_exact1d", "nearest-exact", False),
    ("_nearest_exact2d", "nearest-exact", False),
    ("_nearest_exact3d", "nearest-exact", False),
    ("linear1d", "linear", True),
    ("bilinear2d", "bilinear", True),
    ("trilinear3d", "trilinear", True),
    ("bicubic2d", "bicubic", True),
    ("_bilinear2d_aa", "bilinear", True),
    ("_bicubic2d_aa", "bicubic", True),
):
    _full = f"_upsample{_name}" if _name.startswith("_") else f"upsample_{_name}"
    lowering(f"aten.{_full}.default", f"aten.{_full}.vec")(_resized(_mode, _has_corners, _name.endswith("_aa")))

_MODES, _BORDERS = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")


@lowering("aten.grid_sampler_2d.default", "aten.grid_sampler_3d.default", "aten.grid_sampler.default")
def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    if interpolation_mode not in range(3) or padding_mode not in range(3):
        raise ArgumentError("grid_sampler", "interpolation_mode and padding_mode", "must be 0, 1 or 2")
    row = TABLE["grid_sample"].function
    result: Tensor = row(input, grid, _MODES[interpolation_mode], _BORDERS[padding_mode], align_corners)
    return result

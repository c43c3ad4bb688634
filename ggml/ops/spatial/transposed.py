"""Transposed convolutions: each input element adds a scaled kernel to the result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ggml.core.dtypes import F32
from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.core.node import Node, Shape
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.spatial.axes import Extents, batched, extents, need_sane, planes, three, unbatched
from ggml.ops.spatial.channels import Geometry, check_bias, checked_groups, checked_operands
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor


def _lower_transposed(b: Builder, values: Sequence[Value], params: Geometry, node: Node) -> Value:
    """The columns of every position, added where their windows lie."""
    stride, padding, dilation, groups = params
    x, weight = values[:2]
    rank, (batch, channels) = len(stride), x.shape[:2]
    outputs, kernel, positions = weight.shape[1], weight.shape[2:], x.shape[2:]
    taps = math.prod(kernel)
    split = b.reshape(weight, (groups, channels // groups, outputs * taps)).swap(1, 2)
    matrix = b.reshape(split, (groups * outputs * taps, channels // groups))
    images = planes(b, x, rank)
    sources = (b.operand(images, images.shape), b.operand(matrix, matrix.shape))
    shape = (batch * groups * outputs * taps, *images.shape[1:])
    columns = b.emit("convolve", sources, F32, shape, (groups, *(1,) * 9))
    columns = columns.reshape_to((batch * groups * outputs, taps, math.prod(positions)))
    geometry = (*three(kernel, 1), *three(stride, 1), *three(padding, 0), *three(dilation, 1), *three(positions, 1))
    result_shape = (batch * groups * outputs, *three(node.shape[2:], 1))
    result = b.emit("fold", (b.operand(columns, columns.shape),), F32, result_shape, geometry).reshape_to(node.shape)
    if len(values) == 3:
        result = b.binary("add", result, b.reshape(values[2], (groups * outputs, *(1,) * rank)), result.shape)
    return result


@op(runs="kernel", sample="internal", lower=_lower_transposed, methods=())
def transposed_convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Shape,
    padding: Shape,
    output_padding: Shape,
    dilation: Shape,
    groups: int,
) -> Tensor:
    """[N, C, ...] with [C, out / groups, ...]: what ``convolution`` does to gradients. The caller has checked."""
    shape, (_, outputs, *kernel) = input._node.shape, weight._node.shape
    out = tuple(
        (extent - 1) * s - 2 * p + d * (k - 1) + more + 1
        for extent, s, p, d, k, more in zip(shape[2:], stride, padding, dilation, kernel, output_padding, strict=True)
    )
    if any(extent < 0 for extent in out):
        raise ShapeMismatchError("transposed_convolution", "a padding that leaves something of the result", out)
    columns = (shape[0], outputs * groups, *kernel, *shape[2:])
    need_sane("transposed_convolution", columns, (shape[0], outputs * groups, *out))
    extras = () if bias is None else (bias,)
    result = (shape[0], outputs * groups, *out)
    params = Geometry(stride, padding, dilation, groups)
    return make("transposed_convolution", (input, weight, *extras), params, result, input._node.dtype)


def _transposed(rank: int) -> Callable[..., Tensor]:
    name = f"conv_transpose{rank}d"

    def function(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Extents = 1,
        padding: Extents = 0,
        output_padding: Extents = 0,
        groups: int = 1,
        dilation: Extents = 1,
    ) -> Tensor:
        x, w, extra = checked_operands(name, rank, input, weight, bias)
        x, had_batch = batched(name, x, rank)
        count = checked_groups(name, groups)
        if x.shape[1] != w.shape[0] or w.shape[0] % count:
            rule = f"a weight [channels, out / {count}, ...], with channels a multiple of the {count} groups"
            raise ShapeMismatchError(name, rule, (tuple(x.shape), tuple(w.shape)))
        check_bias(name, extra, w.shape[1] * count)
        steps, spread = extents(name, stride, "stride", rank), extents(name, dilation, "dilation", rank)
        edge = extents(name, padding, "padding", rank, low=0)
        more = extents(name, output_padding, "output_padding", rank, low=0)
        if any(one >= max(by, d) for one, by, d in zip(more, steps, spread, strict=True)):
            raise ArgumentError(name, "output_padding", f"must be smaller than the stride or the dilation: {more}")
        return unbatched(transposed_convolution(x, w, extra, steps, edge, more, spread, count), had_batch)

    function.__name__ = name
    function.__doc__ = (
        f"Each element of [N, C, ...] or [C, ...] weighted and spread over a window of {rank} axes, the windows "
        "summed: weight [C, out / groups, ...]."
    )
    return op(runs="composed", sample="conv_transpose", torch=f"nn.functional.{name}", methods=())(function)


conv_transpose1d, conv_transpose2d, conv_transpose3d = (_transposed(rank) for rank in (1, 2, 3))

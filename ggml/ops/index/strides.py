"""Any walk over the elements of a tensor in row-major order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ggml.core.dtypes import PLAIN
from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.core.node import Shape, empty_leaf
from ggml.ops.index.assignment import pasted
from ggml.ops.shape.strided import strided
from ggml.ops.shape.views import reshape
from ggml.registry.arguments import integer, sizes, tensor
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor, wrap

_STORAGE = "Strides count the elements of the tensor itself in row-major order; PyTorch's those of its whole storage."


def _walk(name: str, x: Tensor, size: Any, stride: Any, storage_offset: Any) -> tuple[Shape, Shape, int]:
    extents, steps = sizes(name, (size,)), sizes(name, (stride,), "stride")
    offset = 0 if storage_offset is None else integer(name, storage_offset, "storage_offset")
    if len(extents) != len(steps):
        raise ShapeMismatchError(name, "as many strides as extents", (extents, steps))
    if offset < 0:
        raise ArgumentError(name, "storage_offset", f"must not be negative: {offset}")
    last = offset + sum((extent - 1) * step for extent, step in zip(extents, steps, strict=True))
    if 0 not in extents and last >= x.numel():
        raise ArgumentError(name, "size, stride and storage_offset", f"reach element {last} of {x.numel()}")
    return extents, steps, offset


@op(runs="composed", sample="as_strided", dtypes=PLAIN, differs=_STORAGE, inplace="reshapes")
def as_strided(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
    """The elements that a walk with these strides meets, which may overlap."""
    x = tensor("as_strided", input)
    extents, steps, offset = _walk("as_strided", x, size, stride, storage_offset)
    if 0 in extents:
        return wrap(empty_leaf(extents, x.dtype, x.device))
    return strided(reshape(x, (x.numel(),)), extents, steps, offset)


def _overlaps(extents: Shape, steps: Shape) -> bool:
    """Whether a step may reach back into what the smaller ones have met."""
    reach = 0
    for step, extent in sorted(zip(steps, extents, strict=True)):
        if extent > 1:
            if step <= reach:
                return True
            reach += (extent - 1) * step
    return False


@op(runs="composed", sample="as_strided_scatter", dtypes=PLAIN, differs=_STORAGE)
def as_strided_scatter(
    input: Tensor, src: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """``input`` with ``src`` at the elements that a walk with these strides meets."""
    name = "as_strided_scatter"
    x, source = tensor(name, input), tensor(name, src, "src")
    extents, steps, offset = _walk(name, x, size, stride, storage_offset)
    if source._node.shape != extents:
        raise ShapeMismatchError(name, f"a src of shape {extents}", tuple(source.shape))
    if _overlaps(extents, steps):
        raise ArgumentError(name, "stride", f"{steps} may meet an element twice")
    return pasted(x, source.to(x.dtype), steps, offset)

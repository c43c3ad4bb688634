"""Axes in another order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ggml.core.dtypes import PLAIN
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.shape.views import VIEWS_COPY, Extents, listed
from ggml.registry.arguments import several, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import axis


def _lower_permute(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    return values[0].permute(params[0])


@op(runs="view", sample="permute", lower=_lower_permute, dtypes=PLAIN, widens=False, differs=VIEWS_COPY)
def permute(input: Tensor, *order: Any, dims: Extents | None = None) -> Tensor:
    """The axes in another order."""
    if not isinstance(input, Tensor):
        raise DTypeError("permute", "a tensor as input", type(input).__name__)
    wanted = several("permute", "dims", order, dims)
    axes = tuple(axis("permute", d, input.ndim) for d in wanted)
    if sorted(axes) != list(range(input.ndim)):
        raise ArgumentError("permute", "dims", f"must name each of the {input.ndim} axes once: {tuple(wanted)}")
    shape = tuple(input._node.shape[d] for d in axes)
    return make("permute", (input,), (axes,), shape, input._node.dtype)


@op(runs="composed", sample="transpose", dtypes=PLAIN, methods=("transpose", "swapaxes", "swapdims"),
    inplace="reshapes")  # fmt: skip
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two axes exchanged."""
    if not isinstance(input, Tensor):
        raise DTypeError("transpose", "a tensor as input", type(input).__name__)
    order = list(range(input.ndim))
    first, second = axis("transpose", dim0, input.ndim), axis("transpose", dim1, input.ndim)
    if order:
        order[first], order[second] = order[second], order[first]
    return permute(input, order)


@op(runs="composed", sample="matrix", dtypes=PLAIN, inplace="reshapes")
def t(input: Tensor) -> Tensor:
    """A matrix transposed; tensors of fewer axes stay."""
    if not isinstance(input, Tensor) or input.ndim > 2:
        raise ShapeMismatchError("t", "at most two axes", getattr(input, "shape", input))
    return transpose(input, 0, 1) if input.ndim == 2 else input


@op(runs="composed", sample="movedim", dtypes=PLAIN, methods=("movedim", "moveaxis"))
def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Axes moved to other places; the rest keep their order."""
    x = tensor("movedim", input)
    sources = [axis("movedim", d, x.ndim) for d in listed(source)]
    to = [axis("movedim", d, x.ndim) for d in listed(destination)]
    if len(sources) != len(to) or len(set(sources)) != len(sources) or len(set(to)) != len(to):
        raise ArgumentError("movedim", "source and destination", "must be as many different axes each")
    rest = iter([d for d in range(x.ndim) if d not in sources])
    placed = dict(zip(to, sources, strict=True))
    return permute(x, [placed[d] if d in placed else next(rest) for d in range(x.ndim)]) if x.ndim else x


def _transposed(self: Tensor) -> Tensor:
    return permute(self, list(range(self.ndim))[::-1])


def _matrix_transposed(self: Tensor) -> Tensor:
    return transpose(self, -2, -1)


setattr(Tensor, "T", property(_transposed))  # noqa: B010


setattr(Tensor, "mT", property(_matrix_transposed))  # noqa: B010

"""The elements in another shape, or under more axes: reshape, flatten, squeeze, expand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ggml.core.dtypes import PLAIN
from ggml.core.errors import ArgumentError, DTypeError, RankError, ShapeMismatchError
from ggml.core.node import MAX_RANK, Node, Shape
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.registry.arguments import integer, several, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor, wrap
from ggml.tensors.transfer import axis

Extents = int | Sequence[int]


VIEWS_COPY = "The result is a value of its own: an in-place method of one never changes the other."


def listed(value: Any) -> list[Any]:
    """One item or several, as a list."""
    return list(value) if isinstance(value, (tuple, list)) else [value]


def _lower_reshape(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    return b.reshape(values[0], node.shape)


def _inferred(name: str, shape: Sequence[int], numel: int) -> Shape:
    """The shape with its -1 worked out."""
    extents = [integer(name, extent, "shape") for extent in shape]
    if len(extents) > MAX_RANK:
        raise RankError(name, len(extents), MAX_RANK)
    if extents.count(-1) > 1 or any(extent < -1 for extent in extents):
        raise ArgumentError(name, "shape", f"may have one -1 and nothing below: {tuple(extents)}")
    if -1 in extents:
        rest = math.prod(extent for extent in extents if extent != -1)
        if rest == 0 or numel % rest != 0:
            raise ShapeMismatchError(name, f"a shape for {numel} elements", tuple(extents))
        extents[extents.index(-1)] = numel // rest
    if math.prod(extents) != numel:
        raise ShapeMismatchError(name, f"a shape for {numel} elements", tuple(extents))
    return tuple(extents)


@op(runs="view", sample="reshape", lower=_lower_reshape, dtypes=PLAIN, widens=False, differs=VIEWS_COPY)
def reshape(input: Tensor, *extents: Any, shape: Extents | None = None) -> Tensor:
    """The same elements in another shape; one extent may be -1."""
    x = tensor("reshape", input)
    wanted = _inferred("reshape", several("reshape", "shape", extents, shape), x._node.numel)
    return make("reshape", (x,), (wanted,), wanted, x._node.dtype)


@op(
    runs="composed",
    sample="reshape",
    dtypes=PLAIN,
    torch="Tensor.view",
    differs="Works for every tensor, as ``reshape`` does; there are no strides that could forbid it.",
)
def view(input: Tensor, *shape: Any, size: Extents | None = None) -> Tensor:
    """The same as ``reshape``."""
    return reshape(input, several("view", "size", shape, size))


@op(runs="composed", sample="same_numel", dtypes=PLAIN, torch="Tensor.view_as", methods=("view_as", "reshape_as"))
def view_as(input: Tensor, other: Tensor) -> Tensor:
    """The elements in the shape of ``other``."""
    return reshape(input, tuple(tensor("view_as", other, "other").shape))


@op(runs="composed", sample="flatten", dtypes=PLAIN)
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from ``start_dim`` to ``end_dim`` merged into one."""
    x = tensor("flatten", input)
    first, last = axis("flatten", start_dim, x.ndim), axis("flatten", end_dim, x.ndim)
    if first > last:
        raise ArgumentError("flatten", "start_dim", f"{first} lies behind end_dim {last}")
    shape = x._node.shape
    return reshape(x, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


@op(runs="composed", sample="unary_any", dtypes=PLAIN)
def ravel(input: Tensor) -> Tensor:
    """All elements along one axis."""
    return flatten(input)


@op(runs="composed", sample="unflatten", dtypes=PLAIN)
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One axis split into several; one extent may be -1."""
    x = tensor("unflatten", input)
    at, shape = axis("unflatten", dim, x.ndim), x._node.shape
    if not shape:
        raise ShapeMismatchError("unflatten", "at least one axis", ())
    if not isinstance(sizes, (tuple, list)):
        raise DTypeError("unflatten", "a sequence as sizes", type(sizes).__name__)
    return reshape(x, (*shape[:at], *_inferred("unflatten", sizes, shape[at]), *shape[at + 1 :]))


@op(runs="composed", sample="squeeze", dtypes=PLAIN, inplace="reshapes")
def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without the axes of extent 1, or without those of ``dim`` that have it."""
    x = tensor("squeeze", input)
    named = range(x.ndim) if dim is None else listed(dim)
    gone = {axis("squeeze", one, x.ndim) for one in named}
    return reshape(x, tuple(extent for d, extent in enumerate(x._node.shape) if extent != 1 or d not in gone))


@op(runs="composed", sample="unsqueeze", dtypes=PLAIN, inplace="reshapes")
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With an axis of extent 1 at ``dim``."""
    x = tensor("unsqueeze", input)
    at = axis("unsqueeze", dim, x.ndim + 1)
    return reshape(x, (*x._node.shape[:at], 1, *x._node.shape[at:]))


def _lower_expand(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    return values[0].expand(node.shape)


@op(runs="view", sample="expand", lower=_lower_expand, dtypes=PLAIN, torch="Tensor.expand", widens=False,
    differs=VIEWS_COPY)  # fmt: skip
def expand(input: Tensor, *sizes: Any, size: Extents | None = None, implicit: bool = False) -> Tensor:
    """Axes of extent 1 repeated, and new ones put in front; -1 keeps an extent. ``implicit`` has no effect."""
    x, wanted = tensor("expand", input), several("expand", "size", sizes, size)
    return _expanded("expand", x, [integer("expand", extent, "size") for extent in wanted])


def _expanded(name: str, x: Tensor, wanted: Sequence[int]) -> Tensor:
    shape, new = x._node.shape, len(wanted) - len(x._node.shape)
    if new < 0 or -1 in wanted[:new] or any(extent < -1 for extent in wanted):
        raise ShapeMismatchError(name, f"at least the {len(shape)} axes of {shape}", tuple(wanted))
    result = list(wanted)
    for place, have in enumerate(shape, new):
        if result[place] == -1:
            result[place] = have
        if have not in (1, result[place]):
            raise ShapeMismatchError(name, f"extents that {shape} broadcasts to", tuple(wanted))
    if math.prod(result) >= 1 << 46:
        raise ArgumentError(name, "size", f"is too large: {tuple(result)}")
    return make("expand", (x,), (), tuple(result), x._node.dtype)


@op(runs="composed", sample="expand", dtypes=PLAIN)
def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """The same as ``expand``."""
    return expand(input, size)


@op(runs="composed", sample="expand_as", dtypes=PLAIN, torch="Tensor.expand_as")
def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """Expanded to the shape of ``other``."""
    return expand(input, tuple(tensor("expand_as", other, "other").shape))


def _same(self: Tensor) -> Tensor:
    return wrap(self._node)


setattr(Tensor, "data", property(_same))  # noqa: B010

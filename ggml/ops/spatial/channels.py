"""What convolutions ask of input, weight and bias."""

from __future__ import annotations

from typing import Any, NamedTuple

from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.core.node import Shape
from ggml.registry.arguments import integer, same_dtype, strictly_floating
from ggml.tensors.tensor import Tensor


class Geometry(NamedTuple):
    """How a window moves over the input: a number for each axis, and into how many parts the channels fall."""

    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int


def checked_operands(name: str, rank: int, input: Any, weight: Any, bias: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    x, w = strictly_floating(name, input), strictly_floating(name, weight, "weight")
    if w.ndim != rank + 2:
        raise ShapeMismatchError(name, f"a weight with {rank + 2} axes", tuple(w.shape))
    if 0 in w._node.shape[2:] or 0 in w._node.shape[:2]:
        raise ShapeMismatchError(name, "a weight with elements", tuple(w.shape))
    same_dtype(name, x, w)
    if bias is None:
        return x, w, None
    extra = strictly_floating(name, bias, "bias")
    same_dtype(name, x, extra)
    return x, w, extra


def checked_groups(name: str, groups: Any) -> int:
    count = integer(name, groups, "groups")
    if count < 1:
        raise ArgumentError(name, "groups", f"must be positive, not {count}")
    return count


def check_bias(name: str, bias: Tensor | None, outputs: int) -> None:
    if bias is not None and bias._node.shape != (outputs,):
        raise ShapeMismatchError(name, f"a bias [{outputs}]", tuple(bias.shape))


def check_channels(name: str, x: Tensor, weight: Tensor, groups: int) -> None:
    shape = weight._node.shape
    if x.shape[1] != shape[1] * groups or shape[0] % groups:
        rule = f"a weight [out, channels / {groups}, ...], with out a multiple of the {groups} groups"
        raise ShapeMismatchError(name, rule, (tuple(x.shape), shape))

"""Sums of products that subscripts describe, as permutations and products of matrices."""

from __future__ import annotations

import itertools
import math
import string
from collections.abc import Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.ops.elementwise.arithmetic import mul
from ggml.ops.linalg.matmul import matmul
from ggml.ops.reduce.reductions import sum
from ggml.ops.shape.permuting import permute
from ggml.ops.shape.strided import diagonal
from ggml.ops.shape.views import expand, reshape
from ggml.registry.arguments import convert, integer, same_dtype, tensor
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor

# A label is a number: 0-51 for A-Z and a-z, and below 0 for the axes of an ellipsis, counted from its end.
_LETTERS = string.ascii_uppercase + string.ascii_lowercase
_DOTS = -100

Labels = list[int]


def contract(left: Tensor, right: Tensor) -> Tensor:
    """[B, M, K] times [B, K, N] of one dtype: floats by ggml, integers as products that are summed."""
    same_dtype("einsum", left, right)
    if left.dtype.is_floating_point:
        return matmul(left, right)
    if left.dtype is dtypes.bool_:
        raise DTypeError("einsum", "numbers where products are summed", left.dtype)
    products = mul(reshape(left, (*left.shape, 1)), reshape(right, (right.shape[0], 1, *right.shape[1:])))
    return convert(sum(products, 2), left.dtype)


def even(left: Tensor, right: Tensor, pairs: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Both sides with equal extents in each pair of axes: where one has 1, the other one is summed first."""
    uneven = [(one, other) for one, other in pairs if left.shape[one] != right.shape[other]]
    for side in (0, 1):
        dims = [pair[side] for pair in uneven if (left, right)[side].shape[pair[side]] != 1]
        if dims and side == 0:
            left = convert(sum(left, dims, True), left.dtype)
        elif dims:
            right = convert(sum(right, dims, True), right.dtype)
    return left, right


def _tokens(text: str) -> Labels:
    """The labels of one operand, with ``_DOTS`` for an ellipsis."""
    found: Labels = []
    for part in text.replace("...", "\0").replace(" ", ""):
        if part == "\0":
            found.append(_DOTS)
        elif part in _LETTERS:
            found.append(_LETTERS.index(part))
        else:
            raise ArgumentError("einsum", "equation", f"has {part!r}: subscripts are letters and one ellipsis")
    return found


def _numbered(places: Any) -> Labels:
    """The labels of a list of subscripts."""
    if not isinstance(places, (list, tuple)):
        raise DTypeError("einsum", "a list of subscripts behind each operand", type(places).__name__)
    found = [_DOTS if place is ... else integer("einsum", place, "a subscript") for place in places]
    if any(label != _DOTS and not 0 <= label < len(_LETTERS) for label in found):
        raise ArgumentError("einsum", "subscripts", f"must lie in [0, 52): {places}")
    return found


def _read(args: tuple[Any, ...]) -> tuple[list[Tensor], list[Labels], Labels | None]:
    """Operands, their labels, and those of the output if they are given."""
    if len(args) < 2:
        raise ArgumentError("einsum", "operands", "must be at least one, behind an equation or before its subscripts")
    if isinstance(args[0], str):
        given = args[1] if len(args) == 2 and isinstance(args[1], (list, tuple)) else args[1:]
        inputs, arrow, output = args[0].partition("->")
        labels, wanted = [_tokens(text) for text in inputs.split(",")], _tokens(output) if arrow else None
    else:
        given, labels = args[0 : len(args) - len(args) % 2 : 2], [_numbered(one) for one in args[1::2]]
        wanted = _numbered(args[-1]) if len(args) % 2 else None
    operands = [tensor("einsum", one, "an operand") for one in given]
    if len(operands) != len(labels):
        raise ArgumentError("einsum", "operands", f"are {len(operands)}; the equation names {len(labels)}")
    if any(one.count(_DOTS) > 1 for one in (*labels, wanted or [])):
        raise ArgumentError("einsum", "equation", "has more than one ellipsis in an operand")
    return operands, labels, wanted


def _spelled_out(labels: Labels, count: int) -> Labels:
    """With the last ``count`` axes of the ellipsis in its place."""
    if _DOTS not in labels:
        return labels
    at = labels.index(_DOTS)
    return [*labels[:at], *range(-count, 0), *labels[at + 1 :]]


def _axes_of_dots(operand: Tensor, labels: Labels) -> int:
    missing = operand.ndim - len(labels) + (_DOTS in labels)
    if missing < 0 or (missing and _DOTS not in labels):
        raise ShapeMismatchError("einsum", f"{len(labels)} axes, as it has subscripts", tuple(operand.shape))
    return missing


def _output(labels: list[Labels], wanted: Labels | None, num_dots: int) -> Labels:
    known = set(itertools.chain(*labels))
    if wanted is None:
        every = list(itertools.chain(*labels))
        return [*range(-num_dots, 0), *sorted(one for one in known if one >= 0 and every.count(one) == 1)]
    output = _spelled_out(wanted, num_dots)
    if len(set(output)) != len(output) or not set(output) <= known:
        raise ArgumentError("einsum", "output subscripts", "must be different, and those of some operand")
    return output


def _extents(operands: list[Tensor], labels: list[Labels]) -> dict[int, int]:
    """The extent of each label; 1 broadcasts between operands."""
    found: dict[int, int] = {}
    for operand, own in zip(operands, labels, strict=True):
        for label, extent in zip(own, operand.shape, strict=True):
            if found.setdefault(label, extent) == 1:
                found[label] = extent
            if extent not in (1, found[label]):
                shapes = tuple(tuple(one.shape) for one in operands)
                raise ShapeMismatchError("einsum", "one extent (or 1) for each subscript", shapes)
    return found


def _without_repeats(operand: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
    """Diagonals where a label is repeated."""
    for label in set(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if operand.shape[first] != operand.shape[second]:
                raise ShapeMismatchError("einsum", "one extent for a repeated subscript", tuple(operand.shape))
            operand = diagonal(operand, 0, first, second)
            labels = [one for place, one in enumerate(labels) if place not in (first, second)] + [label]
    return operand, labels


def _summed(operand: Tensor, labels: Labels, gone: set[int]) -> tuple[Tensor, Labels]:
    """Without the labels in ``gone``."""
    dims = [place for place, label in enumerate(labels) if label in gone]
    if not dims:
        return operand, labels
    return sum(operand, dims), [label for label in labels if label not in gone]


def _grouped(operand: Tensor, labels: Labels, groups: Sequence[Labels], sizes: dict[int, int]) -> Tensor:
    """The axes in the order of the groups, each group merged into one axis."""
    order = list(itertools.chain(*groups))
    wide = expand(permute(operand, [labels.index(one) for one in order]), [sizes[one] for one in order])
    return reshape(wide, [math.prod(sizes[one] for one in group) for group in groups])


def _pair(left: Tensor, a: Labels, right: Tensor, b: Labels, kept: set[int]) -> tuple[Tensor, Labels]:
    """The product of two operands, summed over what they share and nobody else needs."""
    left, right = even(left, right, [(a.index(one), b.index(one)) for one in a if one in b and one not in kept])
    sizes = _extents([left, right], [a, b])
    left, a = _summed(left, a, {*a} - {*b} - kept)
    right, b = _summed(right, b, {*b} - {*a} - kept)
    batch = [label for label in a if label in b and label in kept]
    inner = [label for label in a if label in b and label not in kept]
    rows, columns = [label for label in a if label not in b], [label for label in b if label not in a]
    if not inner:  # PyTorch multiplies, and promotes, where nothing is summed
        x, y = _grouped(left, a, (batch, rows, []), sizes), _grouped(right, b, (batch, [], columns), sizes)
        product = mul(x, y)
    else:
        x, y = _grouped(left, a, (batch, rows, inner), sizes), _grouped(right, b, (batch, inner, columns), sizes)
        product = contract(x, y)
    result = [*batch, *rows, *columns]
    return reshape(product, [sizes[label] for label in result]), result


@op(runs="composed", sample="einsum", dtypes=(*dtypes.FLOATING, dtypes.int64), methods=())
def einsum(*args: Any) -> Tensor:
    """``einsum("bik,bkj->bij", a, b)``: the products of all operands, summed over subscripts not in the output.

    Without ``->`` the output has the ellipsis, then the subscripts that appear once, capitals first. An ellipsis
    stands for any axes, which broadcast; a subscript that is repeated in one operand takes its diagonal. Operands
    may come in a list, or each with a list of subscripts in [0, 52): ``einsum(a, [0, 1], b, [1, 2], [0, 2])``.
    """
    operands, labels, wanted = _read(args)
    if not operands:
        raise ArgumentError("einsum", "operands", "must be at least one tensor")
    counts = [_axes_of_dots(operand, own) for operand, own in zip(operands, labels, strict=True)]
    labels = [_spelled_out(own, count) for own, count in zip(labels, counts, strict=True)]
    output = _output(labels, wanted, max(counts))
    parts = [_without_repeats(operand, own) for operand, own in zip(operands, labels, strict=True)]
    _extents([operand for operand, _ in parts], [own for _, own in parts])
    result, own = parts[0]
    for place, (operand, other) in enumerate(parts[1:], 2):
        later = {label for _, rest in parts[place:] for label in rest}
        result, own = _pair(result, own, operand, other, later | {*output})
    result, own = _summed(result, own, {*own} - {*output})
    return permute(result, [own.index(label) for label in output])

"""Operations on complex tensors, which are pairs of floats here, [..., 2], marked while a graph is walked.

A translation names them ``pairs.`` where ATen has ``aten.``, so that files know no complex dtype. Their dims and sizes
are ATen's, which do not count the axis of the pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError
from ggml.ops.create import factories
from ggml.ops.namespace import TABLE
from ggml.ops.signal import complex_parts, complexes
from ggml.ops.signal.transforms import along, as_pairs, inverse_real_along, real_along, real_input
from ggml.programs.rules import moving
from ggml.programs.rules.table import lowering
from ggml.registry.arguments import tensor
from ggml.tensors.pairs import Pairs, marked, plain
from ggml.tensors.tensor import Tensor

for _name in ("view_as_complex", "view_as_real", "real", "imag", "angle", "resolve_conj", "resolve_neg"):
    lowering(f"pairs.{_name}.default")(TABLE[_name].function)
for _name in ("abs", "neg", "reciprocal", "square"):
    lowering(f"pairs.{_name}.default")(getattr(complexes, _name))
lowering("pairs._conj.default", "pairs._conj_physical.default", "pairs.conj_physical.default")(complexes.conj)
lowering("pairs.polar.default")(complex_parts.polar)
lowering("pairs.complex.default")(complex_parts.complex)
for _name in ("add", "sub", "mul", "div"):
    lowering(f"pairs.{_name}.Tensor", f"pairs.{_name}.Scalar")(getattr(complexes, _name))


def _at(dim: int) -> int:
    """A dim that counts from the end, where the axis of the pairs stands behind the last one."""
    return dim if dim >= 0 else dim - 1


def _pairs(name: str, value: Any) -> Tensor:
    """The plain pairs of a complex tensor; of a real one those with nothing imaginary."""
    if type(value) is Pairs:
        return plain(value)
    x = tensor(name, value).float()
    return complex_parts.joined(name, x, factories.zeros_like(x))


@lowering(
    "pairs.clone.default", "pairs.alias.default", "pairs.contiguous.default", "pairs.detach.default",
    "pairs.lift_fresh_copy.default", "pairs._to_copy.default",
)  # fmt: skip
def same(input: Tensor, *, dtype: DType | None = None) -> Tensor:
    return marked(_pairs("clone", input))


@lowering("pairs.copy.default")
def copy(input: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """What ``input`` holds once ``src``, which broadcasts, is written over it."""
    return marked(_pairs("copy", src).expand(_pairs("copy", input).shape))


def _sized(rule: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def function(input: Tensor, size: Sequence[int]) -> Tensor:
        return marked(rule(_pairs("reshape", input), [*size, 2]))

    return function


lowering("pairs.view.default", "pairs.reshape.default", "pairs._unsafe_view.default")(_sized(Tensor.reshape))


@lowering("pairs.expand.default")
def expand(input: Tensor, size: Sequence[int], *, implicit: bool = False) -> Tensor:
    return marked(_pairs("expand", input).expand([*size, 2]))


@lowering("pairs.permute.default")
def permute(input: Tensor, dims: Sequence[int]) -> Tensor:
    x = _pairs("permute", input)
    return marked(x.permute([*[_at(dim) for dim in dims], x.ndim - 1]))


@lowering("pairs.transpose.int")
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    return marked(_pairs("transpose", input).transpose(_at(dim0), _at(dim1)))


@lowering("pairs.unsqueeze.default")
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    return marked(_pairs("unsqueeze", input).unsqueeze(_at(dim)))


@lowering("pairs.squeeze.dim")
def squeeze(input: Tensor, dim: int) -> Tensor:
    return marked(_pairs("squeeze", input).squeeze(_at(dim)))


@lowering("pairs.select.int")
def select(input: Tensor, dim: int, index: int) -> Tensor:
    return marked(_pairs("select", input).select(_at(dim), index))


@lowering("pairs.slice.Tensor")
def slice_axis(input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    return marked(moving.slice_axis(_pairs("slice", input), _at(dim), start, end, step))


@lowering("pairs.slice_scatter.default")
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    scatter = TABLE["slice_scatter"].function
    return marked(scatter(_pairs("slice_scatter", input), _pairs("slice_scatter", src), _at(dim), start, end, step))


@lowering("pairs.index.Tensor")
def index(input: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    return marked(moving.index(_pairs("index", input), indices))


@lowering("pairs.cat.default")
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    return marked(TABLE["cat"].function([_pairs("cat", one) for one in tensors], _at(dim)))


@lowering("pairs.stack.default")
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    return marked(TABLE["stack"].function([_pairs("stack", one) for one in tensors], _at(dim)))


@lowering("pairs.zeros.default")
def zeros(size: Sequence[int], *, dtype: DType | None = None) -> Tensor:
    return marked(factories.zeros([*size, 2]))


def _bilinear(function: Callable[[Tensor, Tensor], Tensor], left: Tensor, right: Tensor) -> Tensor:
    """What is linear in both of its operands, part by part."""
    a, b = _pairs("product", left), _pairs("product", right)
    (u, v), (x, y) = (a.select(-1, 0), a.select(-1, 1)), (b.select(-1, 0), b.select(-1, 1))
    return complex_parts.complex(function(u, x) - function(v, y), function(u, y) + function(v, x))


@lowering("pairs.matmul.default", "pairs.mm.default", "pairs.bmm.default")
def matmul(input: Tensor, other: Tensor) -> Tensor:
    return _bilinear(lambda one, two: one @ two, input, other)


@lowering("pairs.einsum.default")
def einsum(equation: str, tensors: Sequence[Tensor], *, path: Sequence[int] | None = None) -> Tensor:
    if len(tensors) != 2:
        raise ArgumentError("einsum", "tensors", f"must be two where one of them is complex, not {len(tensors)}")
    return _bilinear(lambda one, two: TABLE["einsum"].function(equation, one, two), *tensors)


def _scaled(x: Tensor, normalization: int, count: int) -> Tensor:
    """ATen's ways to scale a transform of ``count`` elements: not, by the root, by the count."""
    if normalization not in (0, 1, 2):
        raise ArgumentError("fft", "normalization", f"must be 0, 1 or 2, not {normalization}")
    return x if normalization == 0 else x * (count ** (-0.5 if normalization == 1 else -1.0))


def _count(shape: Sequence[int], dim: Sequence[int]) -> int:
    return math.prod(shape[one] for one in dim)


@lowering("pairs._fft_r2c.default")
def fft_of_real(input: Tensor, dim: Sequence[int], normalization: int, onesided: bool) -> Tensor:
    x = real_input("fft", input)
    count = _count(x.shape, dim)
    *others, last = [one % x.ndim for one in dim]
    if onesided:
        found = real_along("fft", x, None, last, "backward")
    else:
        found, others = _pairs("fft", x), [*others, last]
    for one in others:
        found = along("fft", found, None, one, "backward", True)
    return marked(_scaled(found, normalization, count))


@lowering("pairs._fft_c2c.default")
def fft(input: Tensor, dim: Sequence[int], normalization: int, forward: bool) -> Tensor:
    found = as_pairs("fft", input)
    count = _count(found.shape[:-1], dim)
    for one in dim:
        found = along("fft", found, None, one % (found.ndim - 1), "backward" if forward else "forward", forward)
    return marked(_scaled(found, normalization, count))


@lowering("pairs._fft_c2r.default")
def fft_to_real(input: Tensor, dim: Sequence[int], normalization: int, last_dim_size: int) -> Tensor:
    found = as_pairs("fft", input)
    *others, last = [one % (found.ndim - 1) for one in dim]
    for one in others:
        found = along("fft", found, None, one, "forward", False)
    result = inverse_real_along("fft", found, last_dim_size, last, "forward", False)
    return _scaled(result, normalization, _count(result.shape, dim))

"""Products of vectors and matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import F32, of_ggml_type
from ggml.core.errors import DTypeError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value, coalesce
from ggml.ops.linalg.strided import strided_product
from ggml.ops.shape.views import reshape
from ggml.registry.arguments import Number, broadcast, number, same_dtype, strictly_floating
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor
from worker_native import pays_to_pack

_HALF_WEIGHTS = (
    "Weights of 16 bits and quantised weights may be multiplied with float32. Their rows are multiplied in the "
    "weight's own precision."
)


def product(b: Builder, left: Value, right: Value) -> Value:
    """[..., M, K] times [..., K, N], the outer axes equal or 1; float32.

    ggml multiplies rows with rows: it wants the right side transposed, which for ``x @ w.T`` it already is. Where it is
    not, a kernel of this library reads both sides as they lie.
    """
    left = b.cast(left, F32)
    lying = strided_product(b, left, right)
    if lying is not None:
        return lying
    rank = len(left.shape)
    if of_ggml_type(right.type).is_quantized and not right.swap(rank - 1, rank - 2).is_dense:
        right = b.cast(right, F32)  # a block is a part of a row, so that it cannot be transposed
    weight = right.swap(rank - 1, rank - 2)
    outer = tuple(max(one, two) for one, two in zip(left.shape[:-2], right.shape[:-2], strict=True))
    result = (*outer, left.shape[-2], right.shape[-1])
    if math.prod(weight.shape[:-2]) == 1:
        rows = b.reshape(left, (math.prod(left.shape[:-1]), left.shape[-1]))
        return _mul_mat(b, b.reshape(weight, weight.shape[-2:]), rows).reshape_to(result)
    inputs = b.dense(left).expand((*outer, *left.shape[-2:]))
    weights = b.dense(weight).expand((*outer, *weight.shape[-2:]))
    planes, strides = coalesce(outer, (inputs.strides[:-2], weights.strides[:-2]))
    if len(planes) > 2 or 0 in strides[0] or (0 in strides[1] and set(strides[1]) != {0}):
        inputs, weights, planes, strides = b.dense(inputs), b.dense(weights), (math.prod(outer),), [(1,), (1,)]
    inputs = b.dense(inputs).reshape_to((*planes, *left.shape[-2:]))
    if set(strides[1]) == {0}:
        weights = b.dense(weight).reshape_to(weight.shape[-2:])
    else:
        weights = b.dense(weights).reshape_to((*planes, *weight.shape[-2:]))
    return _mul_mat(b, weights, inputs).reshape_to(result)


# With fewer rows or outputs packing the rows takes longer than it saves. Measured on an AMD EPYC with AVX-512;
# with AVX2 alone packing was measured to pay at 256 rows.
_LEAST_PACKED = 32


def _is_worth_packing(b: Builder, weight: Value, rows: Value) -> bool:
    """Whether our kernel multiplies these two matrices of float32 faster than ggml does."""
    if not b.device.is_cpu or (weight.type, rows.type) != (F32, F32) or len(rows.shape) != 2 or len(weight.shape) != 2:
        return False
    return min(*rows.shape, *weight.shape) >= _LEAST_PACKED and pays_to_pack()


def _multiplied(b: Builder, weight: Value, rows: Value, *bias: Value) -> Value:
    """Rows [M, K] with weights [N, K], and perhaps a bias [N]. Rows that several weights read are packed once."""
    (count, depth), outputs = rows.shape, weight.shape[0]
    source = b.operand(rows, rows.shape)
    if source not in b.packed:
        b.packed[source] = b.emit("pack", (source,), F32, (depth * (count + -count % 16),)).step
    sources = (b.packed[source], b.operand(weight, weight.shape), *[b.operand(one, one.shape) for one in bias])
    return b.emit("multiply_bias" if bias else "multiply", sources, F32, (count, outputs))


def _mul_mat(b: Builder, weight: Value, rows: Value) -> Value:
    if _is_worth_packing(b, weight, rows):
        return _multiplied(b, weight, rows)
    shape = (*rows.shape[:-1], weight.shape[-2])
    sources = (b.operand(weight, weight.shape), b.operand(rows, rows.shape))
    return b.emit("mul_mat", sources, F32, shape, (1,))


def _lower_matmul(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    left, right = values
    if len(left.shape) == 1:
        left = b.reshape(left, (1, *left.shape))
    if len(right.shape) == 1:
        right = b.reshape(right, (*right.shape, 1))
    rank = max(len(left.shape), len(right.shape))
    left, right = (value.expand((1,) * (rank - len(value.shape)) + value.shape) for value in (left, right))
    return b.reshape(product(b, left, right), node.shape)


def _operands(name: str, input: Any, other: Any) -> tuple[Tensor, Tensor, dtypes.DType]:
    """Both sides and the result's dtype. The right side may be a weight: 16 bits or quantised."""
    left = strictly_floating(name, input)
    if not isinstance(other, Tensor):
        raise DTypeError(name, "a tensor as other", type(other).__name__)
    if other.dtype.is_quantized or (left.dtype is dtypes.float32 and other.dtype.is_floating_point):
        return left, other, left.dtype
    right = strictly_floating(name, other, "other")
    same_dtype(name, left, right)
    return left, right, left.dtype


def _mismatch(name: str, left: Tensor, right: Tensor) -> ShapeMismatchError:
    rule = "input.shape[-1] equal to other.shape[-2]"
    return ShapeMismatchError(name, rule, (tuple(left.shape), tuple(right.shape)))


@op(runs="ggml", sample="matmul", lower=_lower_matmul, widens=False, on_empty=0.0, differs=_HALF_WEIGHTS
    + " Integers are not multiplied.")  # fmt: skip
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The product of matrices in the last two axes; the others broadcast. Vectors are rows or columns."""
    left, right, dtype = _operands("matmul", input, other)
    a, b = left._node.shape, right._node.shape
    if not a or not b:
        raise ShapeMismatchError("matmul", "at least one axis", (a, b))
    if a[-1] != b[-2 if len(b) > 1 else -1]:
        raise _mismatch("matmul", left, right)
    outer = broadcast("matmul", a[:-2], b[:-2])
    shape = outer + (a[-2:-1] if len(a) > 1 else ()) + (b[-1:] if len(b) > 1 else ())
    return make("matmul", (left, right), (), shape, dtype)


def _need_axes(name: str, *wanted: tuple[Tensor, int]) -> None:
    for value, rank in wanted:
        if not isinstance(value, Tensor):
            raise DTypeError(name, "a tensor", type(value).__name__)
        if value.ndim != rank:
            raise ShapeMismatchError(name, f"{rank} axes", tuple(value.shape))


@op(runs="composed", sample="mm")
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices."""
    _need_axes("mm", (input, 2), (mat2, 2))
    return matmul(input, mat2)


@op(runs="composed", sample="bmm")
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of matrices, pair by pair: [B, M, K] and [B, K, N]."""
    _need_axes("bmm", (input, 3), (mat2, 3))
    if input.shape[0] != mat2.shape[0]:
        raise ShapeMismatchError("bmm", "as many matrices on both sides", (tuple(input.shape), tuple(mat2.shape)))
    return matmul(input, mat2)


@op(runs="composed", sample="mv")
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """A matrix times a vector."""
    _need_axes("mv", (input, 2), (vec, 1))
    return matmul(input, vec)


@op(runs="composed", sample="dot")
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of the products of two vectors' elements."""
    _need_axes("dot", (input, 1), (tensor, 1))
    return matmul(input, tensor)


@op(runs="composed", sample="dot_any", methods=("outer", "ger"))
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """Every product of two vectors' elements, as a matrix."""
    _need_axes("outer", (input, 1), (vec2, 1))
    return reshape(input, (-1, 1)) * vec2


def _blend(name: str, input: Tensor, product: Tensor, beta: Number, alpha: Number) -> Tensor:
    added = strictly_floating(name, input)
    same_dtype(name, added, product)
    broadcast_shape = broadcast(name, added._node.shape, product._node.shape)
    if broadcast_shape != product._node.shape:
        raise ShapeMismatchError(name, f"an input that broadcasts to {tuple(product.shape)}", tuple(added.shape))
    share, factor = number(name, beta, "beta"), number(name, alpha, "alpha")
    scaled = product if factor == 1 else product * factor
    if share == 0:  # PyTorch's rule: a NaN in input is ignored, too
        return scaled
    return (added if share == 1 else added * share) + scaled


@op(runs="composed", sample="addmm", inplace=True)
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """``beta * input + alpha * (mat1 @ mat2)``."""
    return _blend("addmm", input, mm(mat1, mat2), beta, alpha)


@op(runs="composed", sample="baddbmm", inplace=True)
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """``beta * input + alpha * (batch1 @ batch2)``."""
    return _blend("baddbmm", input, bmm(batch1, batch2), beta, alpha)


def _lower_linear(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    rows, weight = values[:2]
    flat = b.reshape(b.cast(rows, F32), (math.prod(rows.shape[:-1]), rows.shape[-1]))
    if len(values) == 3 and _is_worth_packing(b, weight, flat) and values[2].shape == weight.shape[:1]:
        return _multiplied(b, weight, flat, b.cast(values[2], F32)).reshape_to(node.shape)
    result = _mul_mat(b, b.reshape(weight, weight.shape[-2:]), flat)
    if len(values) == 3:
        result = b.binary("add", result, b.cast(values[2], F32), result.shape)
    return result.reshape_to(node.shape)


@op(runs="ggml", sample="linear", lower=_lower_linear, torch="nn.functional.linear", methods=(), widens=False,
    differs=_HALF_WEIGHTS)  # fmt: skip
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input @ weight.T + bias`` with weight [out, in] (or [in]); the weight may be quantised."""
    left, right, dtype = _operands("linear", input, weight)
    if right.ndim not in (1, 2) or left.ndim < 1 or left.shape[-1] != right.shape[-1]:
        rule = "a weight [out, in] with input.shape[-1] == in"
        raise ShapeMismatchError("linear", rule, (tuple(left.shape), tuple(right.shape)))
    if right.ndim == 1 or right._node.numel == 0 or left._node.numel == 0:
        product = matmul(left, right.t() if right.ndim == 2 else right)
        return product if bias is None else product + bias
    inputs = (left, right)
    if bias is not None:
        extra = strictly_floating("linear", bias, "bias")
        if extra._node.shape not in ((right.shape[0],), (1,), ()):
            raise ShapeMismatchError("linear", f"a bias [{right.shape[0]}]", tuple(extra.shape))
        return make("linear", (*inputs, extra), (), (*left._node.shape[:-1], right.shape[0]), dtype)
    return make("linear", inputs, (), (*left._node.shape[:-1], right.shape[0]), dtype)

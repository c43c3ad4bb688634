"""Products of matrices."""

from __future__ import annotations

from ggml.core.errors import ShapeMismatchError
from ggml.nn import functional as F
from ggml.onnx.call import Call
from ggml.onnx.step import Step
from ggml.onnx.table import from_onnx, to_onnx
from ggml.onnx.writer import Writer
from ggml.ops.linalg.einsum import einsum
from ggml.tensors.tensor import Tensor


@to_onnx("matmul")
def _matmul(w: Writer, step: Step) -> str:
    left, right = _one_dtype(w, step)
    return w.emit("MatMul", left, right)


def _one_dtype(w: Writer, step: Step) -> list[str]:
    """The operands in the dtype of the result: ggml takes weights of fewer bits, which ONNX does not."""
    given = zip(step.inputs, step.dtypes, strict=True)
    return [name if own is step.dtype else w.cast(name, step.dtype) for name, own in given]


@to_onnx("linear")
def _linear(w: Writer, step: Step) -> str:
    x, weight, *bias = _one_dtype(w, step)
    if len(step.shape) == 2:
        return w.emit("Gemm", x, weight, *bias, transB=1)
    product = w.emit("MatMul", x, w.emit("Transpose", weight, perm=[1, 0]))
    return w.emit("Add", product, bias[0]) if bias else product


@from_onnx("MatMul")
def _matmul_here(call: Call) -> Tensor:
    return call.tensor(0).matmul(call.tensor(1))


@from_onnx("Gemm")
def _gemm(call: Call) -> Tensor:
    a, b, c = call.tensor(0), call.tensor(1), call.tensor_or_none(2)
    if a.ndim != 2 or b.ndim != 2:
        raise ShapeMismatchError(call.where, "two matrices", (tuple(a.shape), tuple(b.shape)))
    alpha, beta = float(call.attribute("alpha", 1.0)), float(call.attribute("beta", 1.0))
    left = a.t() if call.attribute("transA", 0) else a
    if alpha == 1 and beta == 1 and call.attribute("transB", 0) and c is not None and c.shape == b.shape[:1]:
        return F.linear(left, b, c)
    product = left.matmul(b.t() if call.attribute("transB", 0) else b)
    product = product if alpha == 1 else product * alpha
    if c is None:
        return product
    return product + (c if beta == 1 else c * beta)


@from_onnx("Einsum")
def _einsum(call: Call) -> Tensor:
    return einsum(call.attribute("equation"), *[call.tensor(at) for at in range(len(call.inputs))])

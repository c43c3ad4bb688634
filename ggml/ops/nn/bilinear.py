"""Products of two inputs through one weight."""

from __future__ import annotations

from ggml.core.errors import ShapeMismatchError
from ggml.registry.arguments import same_dtype, strictly_floating
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor


@op(runs="composed", sample="bilinear", torch="nn.functional.bilinear", methods=())
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input1 @ weight[k] @ input2 + bias[k]`` for each k: [..., in1], [..., in2] and weight [out, in1, in2]."""
    name = "bilinear"
    first, second = strictly_floating(name, input1, "input1"), strictly_floating(name, input2, "input2")
    middle = strictly_floating(name, weight, "weight")
    same_dtype(name, first, second, middle)
    if middle.ndim != 3 or not first.ndim or first.ndim != second.ndim or first.shape[:-1] != second.shape[:-1]:
        shapes = (tuple(first.shape), tuple(second.shape), tuple(middle.shape))
        raise ShapeMismatchError(name, "inputs [..., in1] and [..., in2], and a weight [out, in1, in2]", shapes)
    count, width1, width2 = middle.shape
    if (first.shape[-1], second.shape[-1]) != (width1, width2):
        raise ShapeMismatchError(
            name, f"inputs with {width1} and {width2} features", (first.shape[-1], second.shape[-1])
        )
    rows1, rows2 = first.reshape(-1, width1), second.reshape(-1, 1, width2)
    products = (rows1 @ middle.permute(1, 0, 2).reshape(width1, -1)).reshape(-1, count, width2)
    result = (products * rows2).sum(-1).reshape(*first.shape[:-1], count)
    if bias is None:
        return result
    extra = strictly_floating(name, bias, "bias")
    if tuple(extra.shape) != (count,):
        raise ShapeMismatchError(name, f"a bias [{count}]", tuple(extra.shape))
    same_dtype(name, result, extra)
    return result + extra

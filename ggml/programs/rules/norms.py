"""Normalisations, softmax and activations whose arguments are ATen's own."""

from __future__ import annotations

from collections.abc import Sequence

from ggml.core.dtypes import DType, float32
from ggml.core.errors import ArgumentError
from ggml.ops.create.factories import zeros
from ggml.ops.namespace import TABLE
from ggml.ops.nn import normalization
from ggml.ops.nn.batch_norms import instance_norm
from ggml.programs.rules.table import lowering, same_as
from ggml.registry.arguments import convert, tensor
from ggml.tensors.tensor import Tensor

same_as("rms_norm", "aten.rms_norm.default")
same_as("logsigmoid", "aten.log_sigmoid.default")


@lowering("aten.layer_norm.default")
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    return normalization.layer_norm(input, normalized_shape, weight, bias, eps)


@lowering("aten.group_norm.default")
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    return normalization.group_norm(input, num_groups, weight, bias, eps)


@lowering("aten.instance_norm.default")
def norm_instances(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    return instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


@lowering("aten._native_batch_norm_legit_no_training.default")
def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """As one scale and one shift for each channel, which depend on no input and so are computed once."""
    x = tensor("batch_norm", input)
    if x.ndim < 2 or any(one is not None and one.shape != x.shape[1:2] for one in (weight, bias, running_mean)):
        raise ArgumentError(
            "batch_norm", "running_mean, weight and bias", f"must have one element a channel of {x.shape}"
        )
    scale = (running_var.float() + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    shift = -running_mean.float() * scale
    if bias is not None:
        shift = shift + bias
    by_channel = [-1, *[1] * (x.ndim - 2)]
    result = x * scale.to(x.dtype).reshape(by_channel) + shift.to(x.dtype).reshape(by_channel)
    return result, zeros(0), zeros(0)


@lowering("aten._native_batch_norm_legit.no_stats")
def batch_norm_of_input(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, training: bool, momentum: float, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """By the mean and the variance of each channel of the input itself."""
    x = tensor("batch_norm", input)
    if x.ndim < 2:
        raise ArgumentError("batch_norm", "input", f"must have channels along its second axis, not {x.ndim} axes")
    axes = [0, *range(2, x.ndim)]
    mean = x.float().mean(axes, True)
    centred = x.float() - mean
    inverse = (centred.square().mean(axes, True) + eps).rsqrt()
    result = centred * inverse
    by_channel = [-1, *[1] * (x.ndim - 2)]
    if weight is not None:
        result = result * weight.float().reshape(by_channel)
    if bias is not None:
        result = result + bias.float().reshape(by_channel)
    return result.to(x.dtype), mean.reshape(-1), inverse.reshape(-1)


@lowering("aten._softmax.default")
def softmax(input: Tensor, dim: int, half_to_float: bool) -> Tensor:
    return normalization.softmax(input, dim, float32 if half_to_float else None)


@lowering("aten._log_softmax.default")
def log_softmax(input: Tensor, dim: int, half_to_float: bool) -> Tensor:
    return normalization.log_softmax(input, dim, float32 if half_to_float else None)


@lowering("aten._safe_softmax.default")
def safe_softmax(input: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
    """A row of -inf only becomes zeros."""
    x = tensor("softmax", input)
    hidden = (x == float("-inf")).all(dim, True)
    return normalization.softmax(x, dim, dtype).masked_fill(hidden, 0.0)


@lowering("aten.elu.default")
def elu(input: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    if input_scale != 1:
        raise ArgumentError("elu", "input_scale", f"must be 1, not {input_scale}")
    result: Tensor = TABLE["elu"].function(input, alpha)
    return result if scale == 1 else result * scale


@lowering("aten.linalg_vector_norm.default")
def vector_norm(
    input: Tensor,
    ord: float = 2,
    dim: Sequence[int] | int | None = None,
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    axes = None if dim is None else tuple([dim] if isinstance(dim, int) else dim)
    x = input if dtype is None else convert(tensor("norm", input), dtype)
    result: Tensor = TABLE["vector_norm"].function(x, ord, axes, keepdim)
    return result


@lowering("aten.norm.ScalarOpt_dim")
def norm(input: Tensor, p: float | None, dim: Sequence[int], keepdim: bool = False) -> Tensor:
    return vector_norm(input, 2 if p is None else p, dim, keepdim)


@lowering("aten.einsum.default")
def einsum(equation: str, tensors: Sequence[Tensor], *, path: Sequence[int] | None = None) -> Tensor:
    result: Tensor = TABLE["einsum"].function(equation, *tensors)
    return result

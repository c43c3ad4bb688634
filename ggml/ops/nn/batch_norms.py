"""Normalisation with statistics of a channel (axis 1), and of neighbouring channels."""

from __future__ import annotations

import math

from ggml.core import dtypes, tracing
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.graph import executor
from ggml.ops.create.factories import zeros
from ggml.ops.nn.normalization import group_norm
from ggml.ops.shape.concatenation import cat
from ggml.ops.shape.cutting import narrow
from ggml.registry.arguments import convert, integer, number, strictly_floating
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor


def _by_channel(name: str, x: Tensor, value: Tensor | None, argument: str) -> Tensor | None:
    """[C] as float32, in the place of axis 1."""
    if value is None:
        return None
    given = strictly_floating(name, value, argument)
    if tuple(given.shape) != (x.shape[1],):
        raise ShapeMismatchError(name, f"{argument} [{x.shape[1]}]", tuple(given.shape))
    return convert(given, dtypes.float32).reshape(-1, *[1] * (x.ndim - 2))


def _checked(name: str, input: Tensor, eps: float, momentum: float, training: bool) -> tuple[Tensor, float, float]:
    x = strictly_floating(name, input)
    if x.ndim < 2:
        raise ShapeMismatchError(name, "at least 2 axes: [N, C, ...]", tuple(x.shape))
    epsilon = float(number(name, eps, "eps"))
    if training and not epsilon > 0:
        raise ArgumentError(name, "eps", f"must be positive when training: {eps}")
    return x, epsilon, float(number(name, momentum, "momentum"))


def _need_one_dtype(name: str, x: Tensor, *values: Tensor | None) -> None:
    """Parameters and statistics are all float32, or all what the input is."""
    found = {value.dtype for value in values if isinstance(value, Tensor)}
    if len(found) > 1 or not found <= {x.dtype, dtypes.float32}:
        kinds = " and ".join(sorted(str(dtype) for dtype in found))
        raise DTypeError(name, f"weight, bias and statistics all of float32 or all of {x.dtype}", kinds)


def _affine(
    x: Tensor, mean: Tensor, variance: Tensor, eps: float, weight: Tensor | None, bias: Tensor | None
) -> Tensor:
    """One factor and one summand for each channel, as PyTorch computes it."""
    factor = (variance + eps).rsqrt()
    factor = factor if weight is None else factor * weight
    summand = -mean * factor if bias is None else bias - mean * factor
    return convert(convert(x, dtypes.float32) * factor + summand, x.dtype)


def _from_batch(x: Tensor, eps: float, weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The result, and mean and variance (divided by the count) of each channel."""
    rows = convert(x, dtypes.float32).transpose(0, 1).reshape(x.shape[1], -1)
    mean = rows.mean(1)
    shape = (-1, *[1] * (x.ndim - 2))
    centred = convert(x, dtypes.float32) - mean.reshape(shape)
    variance = (rows - mean.unsqueeze(1)).square().mean(1)
    factor = (variance + eps).rsqrt().reshape(shape)
    result = centred * (factor if weight is None else factor * weight)
    return convert(result if bias is None else result + bias, x.dtype), mean, variance


def _blend(name: str, running: Tensor | None, found: Tensor, momentum: float) -> list[Tensor]:
    """Move running statistics towards what was found; the handle takes the new value."""
    if running is None:
        return []
    blended = convert(running, dtypes.float32) * (1 - momentum) + found.detach() * momentum
    running._assign(convert(blended, running.dtype), name)
    return [running]


def _settle(tensors: list[Tensor]) -> None:
    """Compute now: running statistics must not hold every batch since the last look at them."""
    if tracing.changes() is not None:  # a step computes them in its graph
        return
    executor.compute([one._node for one in tensors])


def _refuse_while_traced(name: str, *running: Tensor | None) -> None:
    if any(one is not None for one in running):
        tracing.refuse_change(name)


_NOT_COMPILED = "Training with running statistics computes them at once, and is compiled by ``compile_step`` only."


@op(runs="composed", sample="batch_norm", torch="nn.functional.batch_norm", methods=(), differs=_NOT_COMPILED)
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """Mean 0 and variance 1 for each channel (axis 1), then scaled and shifted.

    While training by the statistics of the batch, and the running ones (which take their new value in place) move
    towards them by ``momentum``; else by the running ones. Training with running statistics is
    compiled by ``compile_step`` only.
    """
    name = "batch_norm"
    x, epsilon, share = _checked(name, input, eps, momentum, training)
    _need_one_dtype(name, x, running_mean, running_var, weight, bias)
    scale, shift = _by_channel(name, x, weight, "weight"), _by_channel(name, x, bias, "bias")
    mean, variance = (
        _by_channel(name, x, running_mean, "running_mean"),
        _by_channel(name, x, running_var, "running_var"),
    )
    if not training:
        if mean is None or variance is None:
            raise ArgumentError(name, "running_mean and running_var", "are needed unless training")
        return _affine(x, mean, variance, epsilon, scale, shift)
    count = math.prod(x.shape) // x.shape[1] if x.shape[1] else 0
    if count == 1:
        raise ShapeMismatchError(name, "more than one value for each channel when training", tuple(x.shape))
    _refuse_while_traced(name, running_mean, running_var)
    if count == 0:
        return x
    result, found_mean, found_variance = _from_batch(x, epsilon, scale, shift)
    kept = _blend(name, running_mean, found_mean, share)
    kept += _blend(name, running_var, found_variance * (count / (count - 1)), share)
    if kept:
        _settle([*kept, result, x] if x.requires_grad else [*kept, result])
    return result


@op(runs="composed", sample="instance_norm", torch="nn.functional.instance_norm", methods=(), differs=_NOT_COMPILED)
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """Mean 0 and variance 1 for each channel of each item, then scaled and shifted by channel.

    ``use_input_stats=False`` takes the running statistics instead, as ``batch_norm`` does.
    """
    name = "instance_norm"
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    x, epsilon, share = _checked(name, input, eps, momentum, True)
    count = math.prod(x.shape[2:])
    if count == 1:
        raise ShapeMismatchError(name, "more than one element beside batch and channel", tuple(x.shape))
    _need_one_dtype(name, x, running_mean, running_var, weight, bias)
    for value, argument in ((weight, "weight"), (bias, "bias"), (running_mean, "running_mean"),
                            (running_var, "running_var")):  # fmt: skip
        _by_channel(name, x, value, argument)
    _refuse_while_traced(name, running_mean, running_var)
    if 0 in x.shape:
        return x
    result = group_norm(x, x.shape[1], weight, bias, epsilon)
    rows = convert(x, dtypes.float32).reshape(x.shape[0], x.shape[1], -1)
    mean = rows.mean(2, True)
    spread = (rows - mean).square().sum(2) * (1 / (count - 1))
    kept = _blend(name, running_mean, mean.squeeze(2).mean(0), share)
    kept += _blend(name, running_var, spread.mean(0), share)
    if kept:
        _settle([*kept, result, x] if x.requires_grad else [*kept, result])
    return result


@op(runs="composed", sample="local_response_norm", torch="nn.functional.local_response_norm", methods=())
def local_response_norm(input: Tensor, size: int, alpha: float = 0.0001, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """Over ``(k + alpha * mean of the squares of size neighbouring channels) ** beta``; 0 beyond the last channel."""
    name = "local_response_norm"
    x, window = strictly_floating(name, input), integer(name, size, "size")
    factors = [float(number(name, value, text)) for value, text in ((alpha, "alpha"), (beta, "beta"), (k, "k"))]
    if x.ndim < 3:
        raise ShapeMismatchError(name, "at least 3 axes: [N, C, ...]", tuple(x.shape))
    if window < 1:
        raise ArgumentError(name, "size", f"must be positive: {size}")
    if 0 in x.shape:
        return x
    wide = convert(x, dtypes.float32)
    mean = _windows(wide.square(), window) * (factors[0] / window)
    return convert(wide / (mean + factors[2]).pow(factors[1]), x.dtype)


def _windows(squares: Tensor, window: int) -> Tensor:
    """The sum over the ``window`` channels around each one: ``window // 2`` below it and the rest above."""
    channels = squares.shape[1]
    below, above = min(window // 2, channels - 1), min((window - 1) // 2, channels - 1)
    result = squares
    for step in range(1, max(below, above) + 1):
        none = zeros(squares.shape[0], step, *squares.shape[2:], device=squares.device)
        if step <= below:
            result = result + cat([none, narrow(squares, 1, 0, channels - step)], 1)
        if step <= above:
            result = result + cat([narrow(squares, 1, step, channels - step), none], 1)
    return result

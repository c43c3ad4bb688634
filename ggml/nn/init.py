"""First values of parameters, as ``torch.nn.init``. Each fills its tensor in place, from ggml's generator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import tracing
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.grad_mode import no_grad
from ggml.nn import sampling
from ggml.ops.create.factories import put
from ggml.ops.create.random import Generator, generator_of
from ggml.registry.arguments import choice, integer, number
from ggml.tensors.tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_GAINS = {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4, "linear": 1.0, "sigmoid": 1.0} | {
    f"conv{rest}{rank}d": 1.0 for rest in ("", "_transpose") for rank in (1, 2, 3)
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By what a layer's weights grow so that the variance stays behind this activation."""
    if choice("calculate_gain", "nonlinearity", nonlinearity, ("leaky_relu", *_GAINS)) == "leaky_relu":
        slope = 0.01 if param is None else float(number("calculate_gain", param, "param"))
        return math.sqrt(2 / (1 + slope * slope))
    return _GAINS[nonlinearity]


def _fill(name: str, tensor: Tensor, values: NDArray[Any]) -> Tensor:
    """Give the handle these values in its own dtype and place."""
    tracing.refuse(name)
    with no_grad():
        return tensor._assign(put(np.broadcast_to(values, tuple(tensor.shape)), tensor.dtype, tensor.device), name)


def _shape(name: str, tensor: Tensor, min_rank: int = 0, max_rank: int = 99) -> tuple[int, ...]:
    if not isinstance(tensor, Tensor):
        raise DTypeError(name, "a tensor", type(tensor).__name__)
    if tensor.is_quantized:
        raise DTypeError(name, "a tensor that is not quantised", tensor.dtype)
    if not min_rank <= tensor.ndim <= max_rank:
        text = f"{min_rank} axes" if min_rank == max_rank else f"{min_rank} axes or more"
        raise ShapeMismatchError(name, text if max_rank in (99, min_rank) else f"{min_rank} to {max_rank} axes",
                                 tuple(tensor.shape))  # fmt: skip
    return tuple(tensor.shape)


def _random_shape(name: str, tensor: Tensor, min_rank: int = 0) -> tuple[int, ...]:
    shape = _shape(name, tensor, min_rank)
    if not tensor.is_floating_point():
        raise DTypeError(name, "a floating tensor", tensor.dtype)
    return shape


def _numbers(name: str, **values: float) -> list[float]:
    return [float(number(name, value, argument)) for argument, value in values.items()]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in [a, b)."""
    shape = _random_shape("uniform_", tensor)
    low, high = _numbers("uniform_", a=a, b=b)
    if not low <= high or math.isinf(high - low):
        raise ArgumentError("uniform_", "a", f"must not be above b, and both finite: {a}, {b}")
    return _fill("uniform_", tensor, generator_of("uniform_", generator).uniform(shape) * (high - low) + low)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with this mean and standard deviation."""
    shape = _random_shape("normal_", tensor)
    middle, spread = _numbers("normal_", mean=mean, std=std)
    if not spread >= 0:
        raise ArgumentError("normal_", "std", f"must not be negative: {std}")
    return _fill("normal_", tensor, generator_of("normal_", generator).normal(shape) * spread + middle)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal, but only what lies in [a, b]."""
    shape = _random_shape("trunc_normal_", tensor)
    middle, spread, low, high = _numbers("trunc_normal_", mean=mean, std=std, a=a, b=b)
    if not spread > 0 or not low < high or not math.isfinite(middle):
        raise ArgumentError(
            "trunc_normal_", "std and b - a", f"must be positive, and mean finite: {std}, [{a}, {b}], {mean}"
        )
    source = generator_of("trunc_normal_", generator)
    drawn = sampling.truncated(source, math.prod(shape), (low - middle) / spread, (high - middle) / spread)
    return _fill("trunc_normal_", tensor, np.clip(drawn * spread + middle, low, high).reshape(shape))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """``val`` everywhere."""
    _shape("constant_", tensor)
    return _fill("constant_", tensor, np.array(number("constant_", val, "val")))


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """1 on the diagonal of a matrix, 0 elsewhere."""
    return _fill("eye_", tensor, np.eye(*_shape("eye_", tensor, 2, 2), dtype=np.float32))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution weight [out, in, ...] that passes its input on, in each group as many channels as there are."""
    shape = _shape("dirac_", tensor, 3, 5)
    count = integer("dirac_", groups, "groups")
    if count < 1 or shape[0] % count:
        raise ArgumentError("dirac_", "groups", f"{groups} does not divide {shape[0]} channels")
    values = np.zeros(shape, np.float32)
    out_channels = shape[0] // count
    middle = tuple(extent // 2 for extent in shape[2:])
    if 0 not in shape:
        for channel in range(min(out_channels, shape[1])):
            for group in range(count):
                values[(group * out_channels + channel, channel, *middle)] = 1
    return _fill("dirac_", tensor, values)


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """How many inputs make an output, and how many outputs an input takes part in."""
    shape = _random_shape(name, tensor, 2)
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform with variance ``gain**2 * 2 / (fan_in + fan_out)`` (Glorot and Bengio, 2010)."""
    bound = math.sqrt(3) * _xavier("xavier_uniform_", tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with variance ``gain**2 * 2 / (fan_in + fan_out)`` (Glorot and Bengio, 2010)."""
    return normal_(tensor, 0.0, _xavier("xavier_normal_", tensor, gain), generator)


def _xavier(name: str, tensor: Tensor, gain: float) -> float:
    total = sum(_fans(name, tensor))
    (factor,) = _numbers(name, gain=gain)
    return factor * math.sqrt(2 / total) if total else 0.0


def _kaiming(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan_in, fan_out = _fans(name, tensor)
    fan = fan_in if choice(name, "mode", mode, ("fan_in", "fan_out")) == "fan_in" else fan_out
    gain = calculate_gain(nonlinearity, a)
    return gain / math.sqrt(fan) if fan else 0.0


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform with variance ``gain**2 / fan`` (He et al., 2015); ``a`` is the slope of ``leaky_relu``."""
    bound = math.sqrt(3) * _kaiming("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with variance ``gain**2 / fan`` (He et al., 2015)."""
    return normal_(tensor, 0.0, _kaiming("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """``gain`` times a matrix with orthonormal rows or columns, whichever are fewer; later axes count as columns."""
    shape = _random_shape("orthogonal_", tensor, 2)
    (factor,) = _numbers("orthogonal_", gain=gain)
    if 0 in shape:
        return tensor
    drawn = generator_of("orthogonal_", generator).normal((shape[0], math.prod(shape[1:])))
    return _fill("orthogonal_", tensor, factor * sampling.orthonormal(drawn).reshape(shape))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal, with that share of each column of a matrix set to 0."""
    _random_shape("sparse_", tensor, 2)
    rows, columns = _shape("sparse_", tensor, 2, 2)
    share, spread = _numbers("sparse_", sparsity=sparsity, std=std)
    if not 0 <= share <= 1 or not spread >= 0:
        raise ArgumentError("sparse_", "sparsity", f"must lie in [0, 1], and std not be negative: {sparsity}, {std}")
    source = generator_of("sparse_", generator)
    values = source.normal((rows, columns)) * spread
    for column in range(columns):
        values[source.permutation(rows)[: math.ceil(share * rows)], column] = 0
    return _fill("sparse_", tensor, values)

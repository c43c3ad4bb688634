"""Complex tensors that are made of their parts."""

from __future__ import annotations

from typing import Any

from ggml.core import dtypes
from ggml.core.errors import DTypeError
from ggml.ops.shape.concatenation import cat
from ggml.ops.signal.transforms import PAIRS
from ggml.registry.arguments import tensor
from ggml.registry.table import op
from ggml.tensors.pairs import marked
from ggml.tensors.tensor import Tensor


@op(runs="composed", sample="complex_pair", dtypes=(dtypes.float32,), methods=(), differs=PAIRS)
def complex(real: Tensor, imag: Tensor) -> Tensor:
    """A complex tensor of its parts, [..., 2]."""
    return marked(joined("complex", real, imag))


def joined(name: str, real: Any, imag: Any) -> Tensor:
    """Pairs of two parts that broadcast."""
    a, b = tensor(name, real, "real"), tensor(name, imag, "imag")
    if a.dtype is not b.dtype or not a.is_floating_point():
        raise DTypeError(name, "floats of one dtype", f"{a.dtype} and {b.dtype}")
    from ggml.ops.shape.joining import broadcast_tensors

    one, other = broadcast_tensors(a, b)
    return cat([one.unsqueeze(-1), other.unsqueeze(-1)], -1)


@op(runs="composed", sample="complex_polar", dtypes=(dtypes.float32,), methods=(), differs=PAIRS)
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """A complex tensor of lengths and angles in radians, [..., 2]."""
    length, turn = tensor("polar", abs, "abs"), tensor("polar", angle, "angle")
    if length.dtype is not turn.dtype:
        raise DTypeError("polar", "one dtype", f"{length.dtype} and {turn.dtype}")
    return marked(joined("polar", length * turn.cos(), length * turn.sin()))

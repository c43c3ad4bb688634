"""Operations on the bits of two integers."""

from __future__ import annotations

from collections.abc import Callable

from ggml.core import dtypes
from ggml.core.dtypes import INTEGER, Category
from ggml.ops.elementwise.binary import Operand, binary, by_kernel
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor


def _bitwise(name: str, kernel: str, on_bool: str | None) -> Callable[[Operand, Operand], Tensor]:
    def function(input: Operand, other: Operand) -> Tensor:
        refuse = (Category.FLOATING,) if on_bool else (Category.FLOATING, Category.BOOL)
        return binary(name, input, other, refuse=refuse)

    function.__name__, function.__doc__ = name, f"Bits of two integers: {name}."
    kinds = (*INTEGER, dtypes.bool_) if on_bool else INTEGER
    row = op(runs="kernel", sample="bitwise", lower=by_kernel(kernel, on_bool), dtypes=kinds, inplace=True)
    return row(function)


bitwise_and = _bitwise("bitwise_and", "bit_and", "logical_and")


bitwise_or = _bitwise("bitwise_or", "bit_or", "logical_or")


bitwise_xor = _bitwise("bitwise_xor", "bit_xor", "logical_xor")


bitwise_left_shift = _bitwise("bitwise_left_shift", "shift_left", None)


bitwise_right_shift = _bitwise("bitwise_right_shift", "shift_right", None)

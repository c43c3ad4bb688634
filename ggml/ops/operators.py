"""Python's operators on tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ggml.ops.elementwise import arithmetic, bitwise, comparison, pointwise
from ggml.ops.elementwise.binary import reflected
from ggml.ops.linalg import matmul
from ggml.registry.table import in_place
from ggml.tensors.tensor import Tensor

_BINARY: dict[str, Callable[..., Tensor]] = {
    "add": arithmetic.add,
    "sub": arithmetic.sub,
    "mul": arithmetic.mul,
    "truediv": arithmetic.div,
    "floordiv": arithmetic.floor_divide,
    "mod": arithmetic.remainder,
    "pow": arithmetic.pow,
    "matmul": matmul.matmul,
    "and": bitwise.bitwise_and,
    "or": bitwise.bitwise_or,
    "xor": bitwise.bitwise_xor,
    "lshift": bitwise.bitwise_left_shift,
    "rshift": bitwise.bitwise_right_shift,
}
_COMPARISONS = {name: getattr(comparison, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")}
_UNARY = {"neg": pointwise.neg, "abs": pointwise.abs, "invert": pointwise.bitwise_not, "pos": lambda self: self}

#: Every operator method, for the stubs.
BINARY_OPERATORS = (
    *(f"__{prefix}{name}__" for name in _BINARY for prefix in ("", "r", "i")),
    *(f"__{name}__" for name in _COMPARISONS),
)
UNARY_OPERATORS = tuple(f"__{name}__" for name in _UNARY)


def _or_not_implemented(function: Callable[..., Tensor]) -> Callable[[Tensor, Any], Any]:
    """Leave operands that are neither tensors nor numbers to Python."""

    def operator(self: Tensor, other: Any) -> Any:
        if isinstance(other, (Tensor, int, float)) or getattr(other, "shape", None) == ():
            return function(self, other)
        return NotImplemented

    return operator


for _name, _function in _BINARY.items():
    setattr(Tensor, f"__{_name}__", _or_not_implemented(_function))
    setattr(Tensor, f"__r{_name}__", _or_not_implemented(reflected(_function)))
    setattr(Tensor, f"__i{_name}__", in_place(_function, f"__i{_name}__"))
for _name, _function in _COMPARISONS.items():
    setattr(Tensor, f"__{_name}__", _or_not_implemented(_function))
for _name, _function in _UNARY.items():
    setattr(Tensor, f"__{_name}__", _function)

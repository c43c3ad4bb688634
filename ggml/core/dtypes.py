"""Element types: PyTorch's names, and how each is stored.

A bool is stored as float32 0 or 1, because masks are multiplied with activations; outside it is a bool.
Quantised types are for storage: weights of a product, rows of an embedding, sources of a cast.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import numpy as np

from ggml.core.errors import DTypeError
from ggml.gguf.tensor_types import BY_NAME


class Category(enum.IntEnum):
    """What arithmetic an element takes part in, in the order of promotion."""

    BOOL = 0
    INTEGER = 1
    FLOATING = 2
    QUANTIZED = 3


@dataclass(frozen=True, slots=True, eq=False)
class DType:
    """An element type. ``itemsize`` is in bytes outside; a block of ``block`` elements takes ``block_bytes``."""

    name: str
    category: Category
    ggml_type: int
    itemsize: int
    block: int
    block_bytes: int
    numpy: np.dtype[Any] | None
    dlpack: tuple[int, int] | None

    @property
    def is_floating_point(self) -> bool:
        return self.category is Category.FLOATING

    @property
    def is_quantized(self) -> bool:
        return self.category is Category.QUANTIZED

    @property
    def is_integer(self) -> bool:
        return self.category is Category.INTEGER

    @property
    def is_complex(self) -> bool:
        return False

    def num_bytes(self, num_elements: int) -> int:
        """The bytes that a tensor occupies on its device."""
        return num_elements // self.block * self.block_bytes

    def __repr__(self) -> str:
        return f"ggml.{self.name}"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (dtype_named, (self.name,))


def _plain(name: str, category: Category, ggml_name: str, itemsize: int, array: Any, code: int | None) -> DType:
    kind = BY_NAME[ggml_name]
    return DType(
        name,
        category,
        kind.number,
        itemsize,
        kind.block_size,
        kind.block_bytes,
        None if array is None else np.dtype(array),
        None if code is None else (code, itemsize * 8),
    )


float32 = _plain("float32", Category.FLOATING, "f32", 4, np.float32, 2)
float16 = _plain("float16", Category.FLOATING, "f16", 2, np.float16, 2)
bfloat16 = _plain("bfloat16", Category.FLOATING, "bf16", 2, None, 4)
int32 = _plain("int32", Category.INTEGER, "i32", 4, np.int32, 0)
int64 = _plain("int64", Category.INTEGER, "i64", 8, np.int64, 0)
bool_ = _plain("bool", Category.BOOL, "f32", 1, np.bool_, 6)

#: The quantised types by ggml's own name: ``q4_k``, ``iq4_xs``, ``mxfp4`` ...
QUANTIZED: dict[str, DType] = {
    name: DType(name, Category.QUANTIZED, kind.number, 0, kind.block_size, kind.block_bytes, None, None)
    for name, kind in BY_NAME.items()
    if kind.is_quantized
}

FLOATING = (float32, float16, bfloat16)
INTEGER = (int32, int64)
NUMERIC = FLOATING + INTEGER
PLAIN = (*NUMERIC, bool_)
ALL = {dtype.name: dtype for dtype in (*PLAIN, *QUANTIZED.values())}

F32, F16, BF16 = float32.ggml_type, float16.ggml_type, bfloat16.ggml_type
I32, I64 = int32.ggml_type, int64.ggml_type

# PyTorch's dtypes that are not here, and what takes their place.
_INSTEAD = {
    **dict.fromkeys(("float64", "double"), "ggml.float32"),
    **dict.fromkeys(("uint8", "int8", "int16", "short", "uint16"), "ggml.int32"),
    **dict.fromkeys(("uint32", "uint64"), "ggml.int64"),
    **dict.fromkeys(
        ("complex32", "chalf", "complex64", "cfloat", "complex128", "cdouble"),
        "pairs of ggml.float32, marked by ggml.view_as_complex",
    ),
}

_RANK = {bool_: 0, int32: 1, int64: 2, float16: 3, bfloat16: 3, float32: 4}
_HINTS = {"float64": "; convert with .astype(numpy.float32)"}


def instead_of(name: str) -> str:
    """What to use for a dtype of PyTorch or numpy that is not here, as a sentence; empty if it is unknown."""
    if name in ALL:
        return f"use ggml.{name}"
    return f"there is no {name}: use {_INSTEAD[name]}" if name in _INSTEAD else ""


def dtype_named(name: str) -> DType:
    """The dtype of that name, or DTypeError."""
    if name not in ALL:
        raise DTypeError("dtype", f"one of {', '.join(sorted(ALL))}", name)
    return ALL[name]


#: By ggml's number. The bool that float32 may stand for is not told apart; files hold types that are not here.
BY_GGML_TYPE = {dtype.ggml_type: dtype for dtype in (*NUMERIC, *QUANTIZED.values())}


def of_ggml_type(number: int) -> DType:
    """How elements of a ggml type are stored: the bool that float32 may stand for is not told apart."""
    return BY_GGML_TYPE[number]


def promote_types(type1: DType, type2: DType) -> DType:
    """The type that both convert to, by PyTorch's rules. Quantised types promote to nothing but themselves."""
    if type1 is type2 and isinstance(type1, DType):
        return type1
    for given in (type1, type2):
        if not isinstance(given, DType):
            raise DTypeError("promote_types", "two ggml dtypes", given)
    if type1.is_quantized or type2.is_quantized:
        raise DTypeError("promote_types", "types that are not quantised", f"{type1} and {type2}")
    if _RANK[type1] == _RANK[type2]:
        return float32
    return type1 if _RANK[type1] > _RANK[type2] else type2


def from_dlpack_type(code: int, bits: int) -> DType:
    """The dtype of a DLPack type code and width, or DTypeError."""
    for dtype in PLAIN:
        if dtype.dlpack == (code, bits):
            return dtype
    kind = {0: "int", 1: "uint", 2: "float", 5: "complex"}.get(code, f"type{code}_")
    raise DTypeError(
        "dlpack", "float32, float16, bfloat16, int32, int64 or bool" + _HINTS.get(f"{kind}{bits}", ""), f"{kind}{bits}"
    )

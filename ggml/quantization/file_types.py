"""Names of kinds of files and of tensor types, as users spell them."""

from __future__ import annotations

import difflib
import functools

from ggml.core import dtypes
from ggml.core.errors import ArgumentError
from ggml.quantization.blocks import types
from worker_native import model_file_types

__all__ = ["file_type_number", "file_types", "tensor_type"]

# The mixtures that llama.cpp means by the plain name.
_SHORT = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}


@functools.cache
def _numbers() -> dict[str, int]:
    return dict(model_file_types())


def file_types() -> tuple[str, ...]:
    """The kinds of files that ``quantize_file`` makes, large ones first."""
    return tuple(_numbers())


def file_type_number(name: str) -> int:
    """libllama's number of a kind of file, or ArgumentError that names the nearest."""
    upper = str(name).upper()
    upper = _SHORT.get(upper, upper)
    if upper not in _numbers():
        raise _unknown("file_type", name, upper, file_types())
    return _numbers()[upper]


def tensor_type(name: str) -> int:
    """ggml's number of a type that a tensor of a file can have, or ArgumentError that names the nearest."""
    known = {dtype.name: dtype.ggml_type for dtype in types()}
    known |= {"f32": dtypes.F32, "f16": dtypes.F16, "bf16": dtypes.BF16, "float32": dtypes.F32}
    lower = str(name).lower()
    if lower not in known:
        raise _unknown("tensor type", name, lower, tuple(known))
    return known[lower]


def _unknown(what: str, name: object, folded: str, known: tuple[str, ...]) -> ArgumentError:
    near = difflib.get_close_matches(folded, known, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return ArgumentError("quantize_file", what, f"{name!r} is not known; {hint}")

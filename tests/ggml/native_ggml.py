"""ggml's own quantisation, called in its library without anything of ours: the oracle of the quantisation tests."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

import ggml


class _Traits(ctypes.Structure):
    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("block", ctypes.c_int64),
        ("block_interleave", ctypes.c_int64),
        ("block_bytes", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
    )


@cache
def _library() -> Any:
    library = ctypes.CDLL(str(next((Path(llama_cpp.__file__).parent / "lib").glob("libggml-base.*"))))
    pointers = [ctypes.c_void_p, ctypes.c_void_p]
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, *pointers, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_get_type_traits.restype = ctypes.POINTER(_Traits)
    return library


def quantize(rows: NDArray[np.float32], dtype: ggml.DType, imatrix: NDArray[np.float32] | None) -> bytes:
    """What ``ggml_quantize_chunk`` writes for rows (R, C)."""
    rows = np.ascontiguousarray(rows, np.float32)
    out = np.zeros(dtype.num_bytes(rows.size), np.uint8)
    weights = None if imatrix is None else np.ascontiguousarray(imatrix, np.float32)
    count = _library().ggml_quantize_chunk(
        dtype.ggml_type,
        rows.ctypes.data,
        out.ctypes.data,
        0,
        *rows.shape,
        None if weights is None else weights.ctypes.data,
    )
    assert count == out.size
    return out.tobytes()


def dequantize(raw: bytes, dtype: ggml.DType, count: int) -> NDArray[np.float32]:
    """What the type's ``to_float`` writes."""
    out = np.zeros(count, np.float32)
    source = np.frombuffer(raw, np.uint8)
    traits = _library().ggml_get_type_traits(dtype.ggml_type).contents
    traits.to_float(source.ctypes.data, out.ctypes.data, count)
    return out


def quantize_model(source: Path, target: Path, file_type: int) -> None:
    """What ``llama_model_quantize`` makes with its default parameters."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = file_type, 1
    assert llama_cpp.llama_model_quantize(bytes(source), bytes(target), ctypes.byref(params)) == 0

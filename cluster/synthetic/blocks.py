"""Random weights in ggml's formats, a matrix at a time: no model is ever in memory as a whole.

Q4_0 and Q8_0 are made as bytes (block layouts: ggml-common.h, block_q4_0 and block_q8_0); K-quants by ggml itself.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
from functools import cache
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from numpy.typing import NDArray

from cluster.api.errors import ClusterError

ROWS_PER_CHUNK = 512
UNIFORM_NIBBLE_SD = 4.61  # standard deviation of uniform whole numbers in [-8, 8)
UNIFORM_BYTE_SD = 73.3  # the same in [-127, 127]


def random_matrix(kind: str, num_rows: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """`num_rows` rows of `width` weights as bytes [num_rows, row_bytes], with deviation 1 / sqrt(width)."""
    deviation = 1 / math.sqrt(width)
    if kind == "Q4_0":
        return _scaled_blocks(
            rng.integers(0, 256, (num_rows, width // 32, 16), np.uint8), deviation / UNIFORM_NIBBLE_SD
        )
    if kind == "Q8_0":
        numbers = rng.integers(-127, 128, (num_rows, width // 32, 32), np.int8)
        return _scaled_blocks(numbers.view(np.uint8), deviation / UNIFORM_BYTE_SD)
    chunks = []
    for first in range(0, num_rows, ROWS_PER_CHUNK):
        shape = (min(ROWS_PER_CHUNK, num_rows - first), width)
        weights = rng.standard_normal(shape, np.float32) * np.float32(deviation)
        chunks.append(_halves(weights) if kind == "F16" else _quantised(kind, weights))
    return np.concatenate(chunks)


def _scaled_blocks(numbers: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Blocks of an f16 scale and `numbers` [rows, blocks, bytes], as rows of bytes."""
    rows, blocks, size_bytes = numbers.shape
    packed = np.empty((rows, blocks, 2 + size_bytes), np.uint8)
    packed[..., :2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
    packed[..., 2:] = numbers
    return packed.reshape(rows, -1)


def _halves(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    return weights.astype(np.float16).view(np.uint8)


def _quantised(kind: str, weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    number = GGMLQuantizationType[kind]
    num_rows, width = weights.shape
    block_length, block_bytes = GGML_QUANT_SIZES[number]
    assert width % block_length == 0, f"{kind}: rows of {width} are no whole blocks of {block_length}"
    packed = np.empty((num_rows, width // block_length * block_bytes), np.uint8)
    source, target = weights.ctypes.data, packed.ctypes.data
    written = _ggml().ggml_quantize_chunk(int(number), source, target, 0, num_rows, width, None)
    assert written == packed.nbytes, f"{kind}: ggml wrote {written} bytes instead of {packed.nbytes}"
    return packed


@cache
def _ggml() -> ctypes.CDLL:
    """ggml's base library, from the installed llama_cpp."""
    found = importlib.util.find_spec("llama_cpp")
    folder = (
        Path(next(iter(found.submodule_search_locations))) if found and found.submodule_search_locations else Path()
    )
    try:
        library = ctypes.CDLL(str(next((folder / "lib").glob("libggml-base.*"))))
    except (OSError, StopIteration) as error:
        raise ClusterError("llama_cpp: its ggml library is missing; reinstall llama-cpp-python") from error
    size, pointer = ctypes.c_int64, ctypes.c_void_p
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, pointer, pointer, size, size, size, pointer]
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    return library

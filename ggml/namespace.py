"""The names of ``ggml`` and ``ggml.nn.functional``: read from the table, and from the dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ggml.ops.activations
import ggml.ops.arithmetic
import ggml.ops.assignment
import ggml.ops.attention
import ggml.ops.bags
import ggml.ops.batch_norms
import ggml.ops.bilinear
import ggml.ops.blends
import ggml.ops.cache
import ggml.ops.casting
import ggml.ops.classes
import ggml.ops.comparing
import ggml.ops.convolution
import ggml.ops.diagonals
import ggml.ops.distances
import ggml.ops.dropouts
import ggml.ops.einsum
import ggml.ops.filling
import ggml.ops.flat
import ggml.ops.folding
import ggml.ops.fourier
import ggml.ops.gated
import ggml.ops.histograms
import ggml.ops.host_results
import ggml.ops.indexing
import ggml.ops.joining
import ggml.ops.likelihoods
import ggml.ops.linalg
import ggml.ops.losses
import ggml.ops.margins
import ggml.ops.matmul
import ggml.ops.normalization
import ggml.ops.operators
import ggml.ops.padding
import ggml.ops.pointwise
import ggml.ops.pooling
import ggml.ops.products
import ggml.ops.reductions
import ggml.ops.resampling
import ggml.ops.rotary
import ggml.ops.running
import ggml.ops.sampling
import ggml.ops.scatter
import ggml.ops.scatter_slices
import ggml.ops.scatter_views
import ggml.ops.searching
import ggml.ops.shape
import ggml.ops.shrinking
import ggml.ops.sorting
import ggml.ops.spans
import ggml.ops.special
import ggml.ops.spectrogram
import ggml.ops.statistics
import ggml.ops.subscript
import ggml.ops.windows  # noqa: F401
from ggml import dtypes
from ggml.dtypes import DType
from ggml.ops import written_over
from ggml.table import TABLE, Op

_FUNCTIONAL = "nn.functional."

# PyTorch keeps these in both places.
_ALSO_FUNCTIONAL = (
    "relu",
    "sigmoid",
    "tanh",
    "softmax",
    "log_softmax",
    "pixel_shuffle",
    "pixel_unshuffle",
    "channel_shuffle",
    "cosine_similarity",
    "pairwise_distance",
)

# Second names that PyTorch has.
ALIASES = {
    "absolute": "abs",
    "negative": "neg",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "clip": "clamp",
    "concat": "cat",
    "concatenate": "cat",
    "divide": "div",
    "true_divide": "div",
    "fix": "trunc",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
    "multiply": "mul",
    "subtract": "sub",
    "swapaxes": "transpose",
    "swapdims": "transpose",
    "moveaxis": "movedim",
    "ger": "outer",
    "sgn": "sign",
    "row_stack": "vstack",
    "trapz": "trapezoid",
}


def _is_top(row: Op) -> bool:
    return row.torch == row.name and row.sample != "internal"


def functions() -> dict[str, Callable[..., Any]]:
    """What ``ggml`` offers of the table."""
    rows = {row.name: row.function for row in TABLE.values() if _is_top(row)}
    return rows | {alias: TABLE[name].function for alias, name in ALIASES.items()}


def functional() -> dict[str, Callable[..., Any]]:
    """What ``ggml.nn.functional`` offers of it."""
    rows = {row.name: row.function for row in TABLE.values() if row.torch == _FUNCTIONAL + row.name}
    rows |= {name: TABLE[name].function for name in _ALSO_FUNCTIONAL}
    return rows | {name: written_over.with_inplace(rows[name]) for name in written_over.NAMES}


def linalg() -> dict[str, Callable[..., Any]]:
    """What ``ggml.linalg`` offers of it."""
    rows = {
        row.torch.removeprefix("linalg."): row.function for row in TABLE.values() if row.torch.startswith("linalg.")
    }
    return rows | {name: TABLE[name].function for name in ("matmul", "matrix_power")}


def fourier() -> dict[str, Callable[..., Any]]:
    """What ``ggml.fft`` offers of it."""
    return {row.torch[4:]: row.function for row in TABLE.values() if row.torch.startswith("fft.")}


def dtype_names() -> dict[str, DType]:
    """Every dtype under its names."""
    short = {"float": dtypes.float32, "half": dtypes.float16, "int": dtypes.int32, "long": dtypes.int64}
    return {**dtypes.ALL, **short}


def _add_alias_methods() -> None:
    from ggml.tensor import Tensor

    for alias, name in ALIASES.items():
        row = TABLE[name]
        if row.methods and not hasattr(Tensor, alias):
            setattr(Tensor, alias, getattr(Tensor, row.methods[0]))


_add_alias_methods()

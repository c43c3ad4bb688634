"""A row of the table on another device, against the same row on the CPU."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

import ggml
from ggml.backend.capture import _tensors
from ggml.ops.namespace import TABLE
from tests.ggml.arrays import to_ggml

# The samples are drawn with torch at hand.
SAMPLES: dict[str, Any] = {}
if importlib.util.find_spec("torch") is not None:
    SAMPLES = importlib.import_module("tests.ggml.samples").SAMPLES

ROWS = [row.name for row in TABLE.values() if row.sample in SAMPLES and row.sample != "internal"]

# On other devices these are ggml's own, or composed of them; ggml's make a number of NaN.
LOSES_NAN = {"relu", "relu6", "hardtanh", "hardsigmoid", "elu", "celu", "clamp", "clamp_min", "clamp_max"}
TOLERANCE = 1e-4
HALF_TOLERANCE = 1e-2


def compare_row(name: str, draw: Callable[[Any], Any], device: Any, tolerance: float = TOLERANCE) -> None:
    """AssertionError unless the row gives there what it gives on the CPU, or is refused on both.

    `tolerance` is relative, of results in 32 bits.
    """
    row = TABLE[name]
    call = SAMPLES[row.sample](draw, row)
    args, kwargs = to_ggml(call.args), to_ggml(call.kwargs)
    there, there_kwargs = moved(args, device), moved(kwargs, device)
    try:
        expected = row.function(*args, **kwargs)
        ggml.eval(expected)
    except (ggml.GgmlError, TypeError) as error:
        assert _is_refused(row.function, there, there_kwargs), f"the CPU refuses it: {error}"
        return
    result = row.function(*there, **there_kwargs)
    ggml.eval(result)
    for one, other in zip(_tensors(result), _tensors(expected), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        if not one.dtype.is_quantized:
            a, b = one.cpu().float().numpy(), other.cpu().float().numpy()
            a = np.where(np.isnan(b) & (name in LOSES_NAN), b, a)
            np.testing.assert_allclose(a, b, rtol=HALF_TOLERANCE if one.dtype.itemsize == 2 else tolerance, atol=1e-5)


def moved(value: Any, device: Any) -> Any:
    """The same with all tensors on `device`."""
    if isinstance(value, ggml.Tensor):
        return value.to(device)
    if isinstance(value, (list, tuple)):
        return type(value)(moved(item, device) for item in value)
    return {key: moved(item, device) for key, item in value.items()} if isinstance(value, dict) else value


def _is_refused(function: Callable[..., Any], args: Any, kwargs: Any) -> bool:
    try:
        ggml.eval(function(*args, **kwargs))
    except (ggml.GgmlError, TypeError):
        return True
    return False

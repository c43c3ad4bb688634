"""Whether a result of ggml equals PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np

import ggml

# Relative to the largest finite element of the result: sums of mixed signs cancel.
TOLERANCE = {"float32": 1e-5, "float16": 2e-3, "bfloat16": 1.6e-2}


# What a formula keeps, where that is less: for all dtypes or for each.
Loose = float | dict[str, float] | None


def assert_same(got: Any, expected: Any, tolerance: Loose = None) -> None:
    """Same structure, shapes, dtypes; the same integers, bools and NaNs; floats within the dtype's tolerance."""
    if isinstance(expected, (list, tuple)):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert_same(one, other, tolerance)
        return
    if not isinstance(got, ggml.Tensor):
        assert got == expected
        return
    assert tuple(got.shape) == tuple(expected.shape), (got.shape, expected.shape)
    name = str(expected.dtype).removeprefix("torch.")
    assert got.dtype.name == name, (got.dtype, expected.dtype)
    assert_close(numbers(got), expected.detach().cpu(), name, tolerance)


def numbers(got: ggml.Tensor) -> Any:
    return got.to(ggml.float32).numpy() if got.dtype.is_floating_point else got.numpy()


def assert_close(found: Any, expected: Any, name: str, tolerance: Loose = None) -> None:
    if name not in TOLERANCE:
        np.testing.assert_array_equal(found, expected.numpy())
        return
    wanted = expected.float().numpy()
    finite = np.abs(wanted[np.isfinite(wanted)])
    loose = tolerance.get(name) if isinstance(tolerance, dict) else tolerance
    relative = max(TOLERANCE[name], loose or 0)
    scale = min(float(finite.max()), 1e6) if finite.size else 0.0
    np.testing.assert_allclose(found, wanted, rtol=relative, atol=relative * max(scale, 1e-3), equal_nan=True)

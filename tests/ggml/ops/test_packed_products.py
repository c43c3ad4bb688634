"""Products of float32 matrices that are large enough for our own kernel, at sizes that fill its tiles or do not."""

from __future__ import annotations

import numpy as np
import pytest

import ggml
from ggml.backend.capture import capture
from ggml.graph.executable import compile_plan
from worker_native import pays_to_pack

SIZES = [(32, 32, 32), (33, 70, 45), (48, 512, 64), (49, 513, 33), (100, 1100, 72), (197, 64, 131)]


def names(function: object, *tensors: ggml.Tensor) -> list[str]:
    held = capture(function, tensors)
    return compile_plan(held.plan, held.device).steps.step_names()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("count", "depth", "outputs"), SIZES)
def test_equals_numpy(count: int, depth: int, outputs: int, threads: int) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.standard_normal(shape, np.float32) for shape in ((count, depth), (outputs, depth), outputs))
    before = ggml.get_num_threads()
    ggml.set_num_threads(threads)
    try:
        found = ggml.nn.functional.linear(*(ggml.from_dlpack(one) for one in (x, weight, bias))).numpy()
        plain = (ggml.from_dlpack(x) @ ggml.from_dlpack(weight).T).numpy()
    finally:
        ggml.set_num_threads(before)
    wanted = x.astype(np.float64) @ weight.T.astype(np.float64)
    np.testing.assert_allclose(plain, wanted, rtol=1e-5, atol=3e-5 * np.sqrt(depth / 64))
    np.testing.assert_allclose(found, wanted + bias, rtol=1e-5, atol=3e-5 * np.sqrt(depth / 64))


def test_a_number_that_is_none_reaches_its_own_row_only() -> None:
    x, weight = ggml.ones(40, 64), ggml.ones(40, 64)
    x[3, 5] = float("nan")
    found = ggml.nn.functional.linear(x, weight).numpy()
    assert np.isnan(found[3]).all()
    assert (np.delete(found, 3, 0) == 64).all()


@pytest.mark.skipif(not pays_to_pack(), reason="ggml's products are as fast on this CPU")
def test_rows_that_two_products_read_are_packed_once() -> None:
    x, first, second = ggml.randn(40, 64), ggml.randn(48, 64), ggml.randn(33, 64)

    def both(x: ggml.Tensor) -> ggml.Tensor:
        return ggml.cat([ggml.nn.functional.linear(x, first), ggml.nn.functional.linear(x, second)], 1)

    steps = names(both, x)
    assert steps.count("pack") == 1
    assert steps.count("multiply") == 2
    few = names(lambda x: ggml.nn.functional.linear(x, first), ggml.randn(4, 64))
    assert "mul_mat" in few

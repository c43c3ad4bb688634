"""Products that read matrices where they lie, beside torch: strides of all kinds, and quantised right sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import ggml
from tests.ggml.ops.test_packed_products import names
from worker_native import pays_to_pack

#: What is done with a [3, 4, 40, 96] and b [3, 4, 40, 64], and whether it takes our kernel alone.
FORMS: dict[str, Callable[[Any, Any], Any]] = {
    "left is transposed": lambda a, b: a.mT @ b,
    "both are transposed": lambda a, b: a.mT @ b.reshape(3, 4, 64, 40).mT,
    "heads were moved": lambda a, b: a.transpose(1, 2).mT @ b.transpose(1, 2),
    "one right side for all": lambda a, b: a.mT @ b[1, 2],
    "one left side for all": lambda a, b: a[1, 2].mT @ b,
    "a part of the rows": lambda a, b: a[:, 1:3, 5:37, 9:50].mT @ b[:, 1:3, 5:37, 16:],
    "few columns": lambda a, b: a.reshape(-1, 96).mT @ b.reshape(-1, 64)[:, :9],
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("form", FORMS)
def test_equals_torch(form: str, threads: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 4, 40, 96), np.float32), rng.standard_normal((3, 4, 40, 64), np.float32)
    before = ggml.get_num_threads()
    ggml.set_num_threads(threads)
    try:
        found = FORMS[form](ggml.tensor(a), ggml.tensor(b)).numpy()
    finally:
        ggml.set_num_threads(before)
    wanted = FORMS[form](torch.from_numpy(a).double(), torch.from_numpy(b).double())
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-5, atol=2e-5 * np.sqrt(10))


@pytest.mark.skipif(not pays_to_pack(), reason="ggml's products are as fast on this CPU")
def test_nothing_is_transposed() -> None:
    a, b = ggml.randn(3, 40, 4, 96), ggml.randn(3, 40, 4, 64)
    steps = names(lambda a, b: a.transpose(1, 2).mT @ b.transpose(1, 2), a, b)
    assert steps == ["input", "input", "product"]
    assert "product" not in names(lambda a, b: a @ b.T, ggml.randn(40, 64), ggml.randn(40, 64))


@pytest.mark.parametrize("dtype", [ggml.q4_0, ggml.q8_0, ggml.q4_k, ggml.q6_k])
@pytest.mark.parametrize("shape", [(96, 512), (1030, 256), (7, 768)])
def test_the_gradient_that_passes_a_quantised_weight(dtype: ggml.dtype, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    weight = ggml.quantization.quantize(ggml.tensor(rng.standard_normal(shape, np.float32)), dtype)
    x = ggml.tensor(rng.standard_normal((50, shape[1]), np.float32), requires_grad=True)
    g = rng.standard_normal((50, shape[0]), np.float32)
    (ggml.nn.functional.linear(x, weight) * ggml.tensor(g)).sum().backward()
    wanted = torch.from_numpy(g).double() @ torch.from_numpy(weight.float().numpy().copy()).double()
    np.testing.assert_allclose(x.grad.numpy(), wanted.numpy(), rtol=1e-5, atol=3e-5 * np.sqrt(shape[0] / 64))


def test_a_quantised_weight_is_never_whole() -> None:
    weight = ggml.quantization.quantize(ggml.randn(2048, 512), ggml.q4_0)

    def gradient(x: ggml.Tensor) -> ggml.Tensor:
        return ggml.func.grad(lambda x: ggml.nn.functional.linear(x, weight).sum())(x)

    assert ggml.backend.Scheduler(gradient, ggml.randn(8, 512)).buffer_sizes["CPU"] < 2048 * 512 * 4 // 4

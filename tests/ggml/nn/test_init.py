"""First values: their statistics, their range, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import numpy as np
import torch

import ggml
from ggml import nn
from ggml.nn import init

SHAPE = (60, 40, 5, 3)
FAN_IN, FAN_OUT = 40 * 15, 60 * 15


def _filled(function: Callable[..., Any], *args: Any, shape: tuple[int, ...] = SHAPE, **options: Any) -> Any:
    target = ggml.empty(shape)
    generator = ggml.Generator().manual_seed(7)
    assert function(target, *args, generator=generator, **options) is target
    return target.numpy()


def _uniform_has(found: Any, bound: float) -> None:
    assert found.min() >= -bound and found.max() <= bound
    assert found.min() < -0.99 * bound and found.max() > 0.99 * bound
    _has(found, 0.0, bound / math.sqrt(3))


def _has(found: Any, mean: float, std: float) -> None:
    """Within five standard errors."""
    error = std / math.sqrt(found.size)
    assert abs(found.mean() - mean) < 5 * error
    assert abs(found.std() - std) < 5 * error


def test_uniform_and_normal() -> None:
    _has(_filled(init.uniform_, 2, 5), 3.5, 3 / math.sqrt(12))
    _has(_filled(init.normal_, -1, 0.5), -1, 0.5)
    kurtosis = ((_filled(init.normal_)) ** 4).mean()
    assert abs(kurtosis - 3) < 0.2


def test_xavier_and_kaiming() -> None:
    _uniform_has(_filled(init.xavier_uniform_, 2.0), 2 * math.sqrt(6 / (FAN_IN + FAN_OUT)))
    _has(_filled(init.xavier_normal_), 0, math.sqrt(2 / (FAN_IN + FAN_OUT)))
    _uniform_has(_filled(init.kaiming_uniform_, math.sqrt(5)), 1 / math.sqrt(FAN_IN))
    _has(_filled(init.kaiming_normal_, mode="fan_out", nonlinearity="relu"), 0, math.sqrt(2 / FAN_OUT))


@pytest.mark.parametrize(
    "mean,std,low,high",
    [(0, 1, -2, 2), (1, 2, -1, 0.5), (0, 1, 3, math.inf), (0, 1, -math.inf, -4), (0, 0.5, -0.01, 0.02),
     (5, 1, 0, 0.1), (0, 1, 0.5, 100)],
)  # fmt: skip
def test_truncated_normal(mean: float, std: float, low: float, high: float) -> None:
    found = _filled(init.trunc_normal_, mean, std, low, high, shape=(20000,)).astype(np.float64)
    assert found.min() >= low and found.max() <= high
    # The distribution function at some places against the formula. erfc keeps its digits in the tails.
    sign = -1.0 if low > mean else 1.0

    def below(x: float) -> float:
        return 0.5 * math.erfc(-sign * (x - mean) / std / math.sqrt(2))

    for share in (0.1, 0.5, 0.9):
        place = float(np.quantile(found, share))
        expected = (below(place) - below(low)) / (below(high) - below(low))
        assert abs(expected - share) < 5 * math.sqrt(share * (1 - share) / found.size)


def test_orthogonal() -> None:
    for shape in ((4, 7), (7, 4), (5, 2, 3), (6, 1, 3, 2)):
        found = _filled(init.orthogonal_, 1.5, shape=shape).reshape(shape[0], -1)
        square = found @ found.T if found.shape[0] <= found.shape[1] else found.T @ found
        np.testing.assert_allclose(square, 2.25 * np.eye(len(square)), atol=1e-5)
    signs = [_first_entry(seed) for seed in range(60)]
    assert abs(np.mean(signs)) < 0.4  # no direction is preferred


def _first_entry(seed: int) -> float:
    target = init.orthogonal_(ggml.empty(3, 3), generator=ggml.Generator().manual_seed(seed))
    return float(np.sign(target.numpy()[0, 0]))


def test_sparse() -> None:
    found = _filled(init.sparse_, 0.3, 2.0, shape=(50, 40))
    assert ((found == 0).sum(0) == 15).all()
    _has(found[found != 0], 0, 2.0)
    assert not (found[:, 0] == found[:, 1]).all()


@pytest.mark.parametrize(
    "text",
    [
        "nn.init.eye_(torch.empty(3, 5))", "nn.init.ones_(torch.empty(2))", "nn.init.zeros_(torch.empty(2, 2))",
        "nn.init.constant_(torch.empty(2, 2), 3.5)", "nn.init.dirac_(torch.empty(4, 2, 3))",
        "nn.init.dirac_(torch.empty(4, 2, 3, 2), groups=2)", "nn.init.dirac_(torch.empty(2, 3, 1, 2, 3))",
        "nn.init.constant_(torch.empty(2, dtype=torch.int64), 3)",
    ],
)  # fmt: skip
def test_values_equal_torch(text: str) -> None:
    expected, found = eval(text, {"nn": torch.nn, "torch": torch}), eval(text, {"nn": nn, "torch": ggml})
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["linear", "conv1d", "conv_transpose3d", "sigmoid", "tanh", "relu", "selu"])
def test_gains(name: str) -> None:
    assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))


def test_gain_of_a_slope() -> None:
    assert init.calculate_gain("leaky_relu") == pytest.approx(torch.nn.init.calculate_gain("leaky_relu"))
    assert init.calculate_gain("leaky_relu", 0.3) == pytest.approx(torch.nn.init.calculate_gain("leaky_relu", 0.3))


@pytest.mark.parametrize(
    "text",
    [
        "eye_(x1)", "dirac_(x2)", "dirac_(x3, groups=2)", "xavier_uniform_(x1)", "kaiming_normal_(x1)",
        "kaiming_normal_(x2, mode='fan')", "kaiming_normal_(x2, nonlinearity='sin')", "orthogonal_(x1)",
        "sparse_(x3, 0.1)", "calculate_gain('sin')", "uniform_(x2, 2, 1)", "normal_(x2, 0, -1)", "normal_(i2)",
        "uniform_(i2)",
    ],
)  # fmt: skip
def test_what_torch_refuses_is_refused(text: str) -> None:
    for library in (torch, ggml):
        names = {"x1": library.zeros(3), "x2": library.zeros(3, 4), "x3": library.zeros(3, 4, 2)}
        names["i2"] = library.zeros(3, 4, dtype=library.int64)
        expected = (RuntimeError, ValueError, TypeError, NotImplementedError)
        with pytest.raises(ggml.GgmlError if library is ggml else expected):
            eval(f"init.{text}", names | {"init": library.nn.init})


def test_more_that_is_refused() -> None:
    with pytest.raises(ggml.ArgumentError):
        init.trunc_normal_(ggml.zeros(2), a=1, b=1)
    with pytest.raises(ggml.DTypeError):
        init.normal_(ggml.zeros(2), generator=torch.Generator())  # type: ignore[arg-type]
    with pytest.raises(ggml.DTypeError):
        init.zeros_(ggml.from_buffer(bytes(34), dtype=ggml.q8_0, shape=(32,)))
    with pytest.raises(ggml.DTypeError):
        init.zeros_(3)  # type: ignore[arg-type]
    weight = ggml.zeros(2)
    with pytest.raises(ggml.TracingError):
        ggml.compile(lambda x: x + init.ones_(weight))(ggml.ones(2))


def test_dtype_and_default_generator() -> None:
    ggml.manual_seed(3)
    first = init.normal_(ggml.empty(4, dtype=ggml.bfloat16))
    ggml.manual_seed(3)
    again = nn.Parameter(ggml.empty(4))
    init.normal_(again)
    assert first.dtype is ggml.bfloat16 and first.float().tolist() == again.bfloat16().float().tolist()
    assert tuple(init.kaiming_uniform_(ggml.empty(0, 3)).shape) == (0, 3)
    assert tuple(init.orthogonal_(ggml.empty(3, 0)).shape) == (3, 0)


def test_layers_start_as_in_torch() -> None:
    """The spread of each layer's first weights is PyTorch's."""
    torch.manual_seed(0)
    ggml.manual_seed(0)
    for text in ("Linear(300, 200)", "Bilinear(30, 40, 20)", "LSTM(50, 60)", "GRUCell(50, 60)", "Embedding(300, 40)"):
        theirs, ours = (eval(f"nn.{text}", {"nn": library.nn}) for library in (torch, ggml))
        for name, value in theirs.state_dict().items():
            expected, found = value.numpy(), ours.state_dict()[name].numpy()
            assert abs(found.std() - expected.std()) < 0.2 * expected.std(), (text, name)
            assert abs(np.abs(found).max() - np.abs(expected).max()) < 0.3 * np.abs(expected).max(), (text, name)

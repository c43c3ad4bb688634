"""Derivatives of derivatives against PyTorch's: the rows that a network is made of, and random graphs of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ggml
from tests.ggml.both import torch

Function = Callable[[Any, Any, list[Any]], Any]

#: A call of the library, its functional, and its inputs; and the shapes of those.
CALLS: dict[str, tuple[Function, list[tuple[int, ...]]]] = {
    "arithmetic": (lambda t, F, x: (x[0] * x[1] - x[0] / (x[1] * x[1] + 1)) ** 3, [(3, 4), (4,)]),
    "tanh sigmoid": (lambda t, F, x: x[0].tanh() * x[0].sigmoid() + x[0].exp().log1p(), [(3, 4)]),
    "sin sqrt": (lambda t, F, x: (x[0].sin() * x[0].cos() + 2).sqrt(), [(3, 4)]),
    "matmul": (lambda t, F, x: (x[0] @ x[1]).tanh(), [(2, 3, 4), (4, 5)]),
    "linear": (lambda t, F, x: F.linear(x[0], x[1], x[2]).pow(2), [(2, 3, 4), (5, 4), (5,)]),
    "softmax": (lambda t, F, x: x[0].softmax(-1) ** 2, [(3, 4)]),
    "log_softmax": (lambda t, F, x: F.log_softmax(x[0], 0) ** 2, [(3, 4)]),
    "gelu silu": (lambda t, F, x: F.gelu(x[0]) * F.silu(x[0]), [(3, 4)]),
    "layer_norm": (lambda t, F, x: F.layer_norm(x[0], (4,), x[1], x[2]) ** 2, [(3, 4), (4,), (4,)]),
    "conv2d": (lambda t, F, x: F.conv2d(x[0], x[1], x[2], 2, 1).tanh(), [(2, 3, 5, 6), (4, 3, 3, 3), (4,)]),
    "conv_transpose1d": (lambda t, F, x: F.conv_transpose1d(x[0], x[1], None, 2).tanh(), [(2, 3, 5), (3, 4, 3)]),
    "max_pool2d": (lambda t, F, x: F.max_pool2d(x[0] ** 2, 2), [(2, 3, 4, 6)]),
    "avg_pool2d": (lambda t, F, x: F.avg_pool2d(x[0] ** 2, 3, 2, 1), [(2, 3, 5, 6)]),
    "movement": (lambda t, F, x: t.cat([x[0][:, 1:], x[0].flip(0)[:, ::2]], 1).t().reshape(-1) ** 2, [(3, 4)]),
    "reductions": (lambda t, F, x: x[0].mean(0) * x[0].prod(1).sum() + x[0].logsumexp(1).sum(), [(3, 4)]),
    "cumsum var": (lambda t, F, x: x[0].cumsum(1) ** 2 * x[0].var(), [(3, 4)]),
    "attention": (lambda t, F, x: _attention(F, x), [(1, 2, 4, 3)] * 3),
    "norm where": (lambda t, F, x: t.where(x[0] > 0, x[0] ** 2, x[0] ** 3) / x[0].norm(), [(3, 4)]),
    "index": (
        lambda t, F, x: x[0][t.tensor([0, 2, 0])] ** 2 + x[0].gather(1, t.tensor([[0, 1, 1, 3]] * 3)) ** 3,
        [(3, 4)],
    ),
}


def _attention(F: Any, x: list[Any]) -> Any:
    if F is ggml.nn.functional:
        return F.scaled_dot_product_attention(*x, is_causal=True)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        return F.scaled_dot_product_attention(*x, is_causal=True)


def gradients(library: Any, call: Function, arrays: list[np.ndarray[Any, Any]]) -> list[Any]:
    """First and second gradients, the second of a sum of squares of the first."""
    x = [library.tensor(one, requires_grad=True) for one in arrays]
    first = library.autograd.grad(call(library, library.nn.functional, x).sum(), x, create_graph=True)
    total = sum((one * one).sum() for one in first)
    second = library.autograd.grad(total, x, allow_unused=True, materialize_grads=True)
    return [one.detach().numpy() for one in (*first, *second)]


@pytest.mark.parametrize("name", CALLS)
def test_second_derivative_equals_torch(name: str) -> None:
    call, shapes = CALLS[name]
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    for found, wanted in zip(gradients(ggml, call, arrays), gradients(torch, call, arrays), strict=True):
        scale = max(float(np.abs(wanted).max()), 1e-3)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * scale)


UNARY = ["tanh", "sigmoid", "sin", "exp", "abs", "square", "relu", "neg", "atan", "softplus"]
BINARY = ["add", "sub", "mul", "maximum", "matmul", "cat", "where"]
SHAPED = ["t", "flip", "slice", "sum", "mean", "softmax", "cumsum", "norm", "layer_norm"]


def random_graph(library: Any, rng: Any, x: list[Any]) -> Any:
    """A graph over square matrices, of up to twelve operations; every value may be used again."""
    values, F = list(x), library.nn.functional

    def pick() -> Any:
        return values[int(rng.integers(len(values)))]

    for _ in range(int(rng.integers(2, 13))):
        kind, a, b = rng.choice(UNARY + BINARY + SHAPED), pick(), pick()
        if kind in UNARY:
            made = (
                F.softplus(a) if kind == "softplus" else F.relu(a) if kind == "relu" else getattr(a.tanh(), str(kind))()
            )
        elif kind == "cat":
            made = library.cat([a[:2], b[1:3]], 0)
        elif kind == "where":
            made = library.where(a > b, a, b * 2)
        elif kind in BINARY:
            made = getattr(a, str(kind))(b)
        else:
            made = {
                "t": lambda a=a: a.t(),
                "flip": lambda a=a: a.flip(0),
                "slice": lambda a=a, b=b: library.cat([a[:, ::2], b[:, 1::2]], 1),
                "sum": lambda a=a, b=b: a.sum(0, keepdim=True) + b,
                "mean": lambda a=a, b=b: a.mean(1, keepdim=True) * b,
                "softmax": lambda a=a: a.softmax(-1),
                "cumsum": lambda a=a: a.cumsum(1),
                "norm": lambda a=a: a / (a.norm() + 1),
                "layer_norm": lambda a=a: F.layer_norm(a, (4,)),
            }[str(kind)]()
        values.append(made / (1 + made.detach().abs().max()))
    return sum(value.sum() for value in values[-3:])


@pytest.mark.parametrize("seed", range(int(os.environ.get("GGML_GRAPHS", "120")) // 10))
def test_random_graphs(seed: int) -> None:
    for number in range(10):
        key = seed * 10 + number
        arrays = [np.random.default_rng([key, k]).standard_normal((4, 4)).astype(np.float32) for k in range(2)]
        found = []
        for library in (ggml, torch):
            x = [library.tensor(one, requires_grad=True) for one in arrays]
            total = random_graph(library, np.random.default_rng(key), x) + 0 * sum(one.sum() for one in x)
            total.backward()
            found.append([one.grad.numpy() for one in x])
        for mine, theirs in zip(*found, strict=True):
            scale = max(float(np.abs(theirs).max()), 1e-2)
            np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-3 * scale, err_msg=f"graph {key}")

"""Gradients where a function has a corner, a pole, or nothing but zeros: what random graphs have found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ggml
from tests.ggml.both import names_of, torch

#: Each sets ``y``, of ``x``.
TEXTS = {
    "sinc of 0": "y = torch.sinc(x)",
    "entr of 0": "y = torch.special.entr(x)",
    "a pole behind steps": "y = torch.special.entr((x / 8).trunc())",
    "a pole behind a whole quotient": "y = torch.special.entr(torch.div(x, 8, rounding_mode='trunc'))",
    "a pole behind the power 0": "y = (x ** 0 - 1).sqrt()",
    "norm of zeros": "y = torch.linalg.vector_norm(x * 0, 3)",
    "norm of zeros among others": "y = torch.linalg.vector_norm(torch.stack([x, x * 0]), 3, 1)",
    "norm of less than 1": "y = torch.linalg.vector_norm(x, 0.5)",
    "a row that is not trained": "y = torch.embedding(x.reshape(-1, 1), torch.tensor([0, 1, 1]), 1)",
    "no such row": "y = torch.embedding(x.reshape(-1, 1), torch.tensor([0, 1, 1]), 7)",
    "rows by how often they are named": "y = torch.embedding(x.reshape(-1, 1), torch.tensor([0, 1, 1]), -1, True)",
    "a share of which the gradient is asked": "y = torch.quantile(x.detach(), x[1:2])",
    "a share among numbers": "y = torch.nanquantile(x, x[1:2] * 0.5)",
    "a variance that is too small": "y = F.gaussian_nll_loss(x, torch.ones(3), x + 0.5, eps=1.0)",
    "lengths that are too small": "y = torch.cosine_similarity(x.reshape(3, 1), torch.ones(3, 2), eps=1.5)",
}


def gradient(library: Any, text: str) -> tuple[Any, Any]:
    names = {**names_of(library), "x": library.tensor([0.0, 0.5, 2.0], requires_grad=True)}
    exec(text, names)
    return names["y"].detach().numpy(), library.autograd.grad(names["y"].sum(), names["x"])[0].numpy()


@pytest.mark.parametrize("name", TEXTS)
def test_same_as_torch(name: str) -> None:
    for found, wanted in zip(gradient(ggml, TEXTS[name]), gradient(torch, TEXTS[name]), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("name", ["smooth_l1_loss", "huber_loss"])
def test_the_second_derivative_where_nothing_is_lost(name: str) -> None:
    x = ggml.tensor([1.0, 1.5], requires_grad=True)
    (first,) = ggml.autograd.grad(
        getattr(ggml.nn.functional, name)(x, ggml.ones(2), reduction="sum"), x, create_graph=True
    )
    assert ggml.autograd.grad(first.sum(), x)[0].tolist() == [1.0, 1.0]

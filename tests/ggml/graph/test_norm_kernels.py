"""Layer norm and the LSTM's step as kernels: every width, and values whose mean is far larger than their spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ggml
from ggml import nn
from ggml.nn import functional

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")


@pytest.mark.parametrize("width", [1, 3, 15, 16, 17, 32, 33, 100, 512, 1000, 1025])
@pytest.mark.parametrize("extras", ["", "w", "b", "wb"])
def test_layer_norm(width: int, extras: str) -> None:
    rng = np.random.default_rng(width)
    x = rng.standard_normal((5, width)).astype(np.float32)
    x[1] += 1000
    x[2] *= 1e-3
    x[3] = 7
    given = [rng.standard_normal(width).astype(np.float32) if name in extras else None for name in "wb"]
    here = [None if one is None else ggml.from_numpy(one) for one in given]
    wide = [None if one is None else torch.from_numpy(one).double() for one in given]
    found = functional.layer_norm(ggml.from_numpy(x), (width,), *here).numpy()
    wanted = torch.nn.functional.layer_norm(torch.from_numpy(x).double(), (width,), *wide).numpy()
    np.testing.assert_allclose(found[[0, 2, 3, 4]], wanted[[0, 2, 3, 4]], rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(found[1], wanted[1], rtol=2e-3, atol=2e-3)


def test_layer_norm_of_what_is_not_finite_stays_in_its_row() -> None:
    x = np.ones((3, 20), np.float32)
    x[1, 3], x[2, 0] = np.nan, np.inf
    found = functional.layer_norm(ggml.from_numpy(x), (20,)).numpy()
    assert np.isfinite(found[0]).all() and np.isnan(found[1]).all() and np.isnan(found[2]).all()


@pytest.mark.parametrize("hidden", [1, 5, 16, 33, 128])
@pytest.mark.parametrize("num_threads", [1, 2])
def test_lstm(hidden: int, num_threads: int) -> None:
    before = ggml.get_num_threads()
    ggml.set_num_threads(num_threads)
    theirs = torch.nn.LSTM(7, hidden, bidirectional=True)
    ours = nn.LSTM(7, hidden, bidirectional=True)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(9, 11, 7) * 3  # rows go in fours, the others one by one
    with torch.no_grad():
        wanted, (state, cell) = theirs(x)
    found, (own_state, own_cell) = ours(ggml.from_numpy(x.numpy()))
    ggml.eval(found, own_state, own_cell)
    ggml.set_num_threads(before)
    for one, other in ((found, wanted), (own_state, state), (own_cell, cell)):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=2e-5, atol=2e-6)

"""Attention without a mask as one kernel: every remainder of its blocks, shared heads, rows with gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ggml

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")


@pytest.mark.parametrize("queries", [8, 63, 65, 130])
@pytest.mark.parametrize("keys", [1, 31, 33, 200, 1024, 1025])
@pytest.mark.parametrize(("width", "value_width"), [(1, 1), (5, 40), (64, 64), (128, 33)])
def test_attention(queries: int, keys: int, width: int, value_width: int) -> None:
    rng = np.random.default_rng(queries + keys + width)
    # Heads behind positions, as projections leave them: rows of one head have gaps.
    shapes = ((2, queries, 4, width), (2, keys, 2, width), (2, keys, 2, value_width))
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    here = [ggml.from_numpy(one).transpose(1, 2) for one in arrays]
    wide = [torch.from_numpy(one).double().transpose(1, 2) for one in arrays]
    found = ggml.nn.functional.scaled_dot_product_attention(*here, enable_gqa=True)
    wanted = torch.nn.functional.scaled_dot_product_attention(*wide, enable_gqa=True)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=2e-5, atol=2e-6)


def test_a_query_that_is_not_a_number_stays_in_its_row() -> None:
    query = np.ones((1, 1, 9, 4), np.float32)
    query[..., 3, 2] = np.nan
    ones = ggml.ones(1, 1, 40, 4)
    found = ggml.nn.functional.scaled_dot_product_attention(ggml.from_numpy(query), ones, ones).numpy()
    assert np.isnan(found[0, 0, 3]).all() and np.isfinite(np.delete(found, 3, 2)).all()

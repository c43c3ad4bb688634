"""Second derivatives of the table's rows against PyTorch's.

The scalar function is a weighted sum of a row's results, with arguments that the table's own samples draw; its
gradient is multiplied with a direction, and differentiated again.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import ggml
from ggml.autograd.coverage import HAS, derivatives
from ggml.ops.namespace import TABLE
from tests.ggml.autograd.gradients import Pair
from tests.ggml.autograd.test_derivatives import OPEN, TIES, untied
from tests.ggml.both import torch
from tests.ggml.samples import SAMPLES

#: Lengths of vectors of one element next to 0: the second derivative is 0, as a difference of very large numbers.
CANCELLING = {"pairwise_distance", "triplet_margin_loss", "triplet_margin_with_distance_loss"}

_HAS = derivatives()
ROWS = [
    row.name
    for row in TABLE.values()
    if row.sample != "internal" and _HAS[row.name] == HAS and row.name not in {*OPEN, *CANCELLING}
]

#: Always compared; the whole table is slow.
ALWAYS = ["mul", "div", "exp", "matmul", "softmax", "layer_norm", "conv2d", "norm", "gather", "where"]

NUM_EXAMPLES = int(os.environ.get("GGML_SECOND_DERIVATIVE_EXAMPLES", "3"))


def second(library: Any, results: list[Any], leaves: list[Any], dtype: Any) -> list[Any] | None:
    """Gradients of a directional derivative; None where the first derivative is constant."""

    def weighed(values: list[Any], start: int) -> Any:
        parts = []
        for place, one in enumerate(values):
            count = int(np.prod(one.shape))
            weights = np.cos(np.arange(count) + start + place).reshape(tuple(one.shape))
            parts.append((one * library.tensor(weights.astype(np.float32)).to(dtype)).sum())
        return sum(parts)

    used = [one for one in results if one.requires_grad]
    if not used:
        return None
    first = library.autograd.grad(weighed(used, 0), leaves, create_graph=True, allow_unused=True)
    moving = [one for one in first if one is not None and one.requires_grad]
    if not moving:
        return None
    return list(library.autograd.grad(weighed(moving, 1), leaves, allow_unused=True))


def compare(name: str, data: st.DataObject) -> None:
    row = TABLE[name]
    call = SAMPLES[row.sample](data.draw, row)
    args = untied(call.args, np.random.default_rng(1)) if name in TIES else call.args
    torch.manual_seed(0)
    pair = Pair(row, args, call.kwargs)
    if pair.skip or any(one.is_complex() for one in pair.theirs):
        return
    theirs, ours = [one for one, _ in pair.leaves], [one for _, one in pair.leaves]
    if not theirs or any(not bool(one.isfinite().all()) for one in (*theirs, *pair.theirs)):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wanted = second(torch, pair.theirs, theirs, torch.float32)
        except (RuntimeError, NotImplementedError):  # PyTorch has no second derivative
            return
    results = pair.call()
    if any(one.is_complex() for one in results):  # whose pairs the oracle shows as reals
        return
    found = second(ggml, results, ours, ggml.float32)
    for place, leaf in enumerate(theirs):
        want = None if wanted is None else wanted[place]
        have = None if found is None else found[place]
        right = np.zeros(leaf.shape) if want is None else want.detach().double().numpy()
        mine = np.zeros(leaf.shape) if have is None else have.detach().numpy().astype(np.float64)
        finite = np.isfinite(right)
        scale = max(min(float(np.abs(right[finite]).max(initial=0)), 1e6), 1.0)
        right, mine = np.where(finite, right, 0), np.where(finite, mine, 0)
        np.testing.assert_allclose(mine, right, rtol=1e-3, atol=1e-3 * scale, err_msg=f"{name}, leaf {place}")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.slow) for name in ROWS]
)
@seed(0)
@settings(
    max_examples=NUM_EXAMPLES,
    suppress_health_check=list(HealthCheck),
    database=None,
    deadline=None,
    phases=[Phase.generate],
)
@given(data=st.data())
def test_second_derivative_equals_torch(name: str, data: st.DataObject) -> None:
    compare(name, data)


def test_what_is_always_compared_is_in_the_table() -> None:
    assert set(ALWAYS) <= set(ROWS)
    assert set(TABLE) >= CANCELLING

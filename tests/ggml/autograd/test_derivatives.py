"""The derivative of every row against PyTorch's, for the arguments that the table's own test draws."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import ggml
from ggml.autograd.derivative import WITHOUT
from ggml.ops.namespace import TABLE
from tests.ggml.autograd.gradients import Pair, assert_same_gradient
from tests.ggml.samples import SAMPLES

ROWS = [row for row in TABLE.values() if row.sample != "internal"]


@pytest.mark.parametrize("name", [row.name for row in ROWS])
@seed(0)
@settings(max_examples=8, suppress_health_check=list(HealthCheck), database=None, deadline=None)
@given(data=st.data())
def test_derivative_equals_torch(name: str, data: st.DataObject) -> None:
    row = TABLE[name]
    call = SAMPLES[row.sample](data.draw, row)
    torch.manual_seed(0)
    pair = Pair(row, call.args, call.kwargs)
    if pair.skip:
        return
    seeds, own_seeds = pair.seeds(np.random.default_rng(0))
    wanted = [theirs for theirs, _ in pair.leaves]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = torch.autograd.grad(pair.theirs, wanted, seeds, allow_unused=True)
    except RuntimeError:
        return  # PyTorch has no derivative for it
    ours = [ours for _, ours in pair.leaves]
    results = pair.call()
    if name in WITHOUT:
        with pytest.raises(ggml.GradientError, match=name):
            ggml.autograd.grad(results, ours, own_seeds, allow_unused=True)
        return
    found = ggml.autograd.grad(results, ours, own_seeds, allow_unused=True)
    for place, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert_same_gradient(one, other, 1e-4, f"{name}, leaf {place}")

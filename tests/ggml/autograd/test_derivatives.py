"""The derivative of every row against PyTorch's, for the arguments that the table's own test draws."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import ggml
from ggml.autograd.derivative import WITHOUT
from ggml.ops.namespace import TABLE
from tests.ggml.autograd.gradients import Pair, assert_same_gradient, own_gradients
from tests.ggml.both import torch
from tests.ggml.samples import SAMPLES

ROWS = [row.name for row in TABLE.values() if row.sample != "internal"]

#: Rows whose derivative PyTorch gives to one of two equal elements, and we to both or to the other. They are compared
#: where no elements are equal.
TIES = {"fmax", "fmin", "clamp_min", "clamp_max", "clamp", "pdist", "cdist", "nanquantile", "multilabel_margin_loss"}

#: Rows that are not compared, and why.
OPEN = {
    "as_strided_scatter": "PyTorch gives the input a gradient where src was written over it",
    "polar": "PyTorch goes by the angle of the result, which a length of 0 does not have",
    "hardshrink": "of a bound that is NaN PyTorch passes nothing on, although the element is the result",
    "det": "of a singular matrix PyTorch shifts a pivot; here the inverse is an error that says so",
    "slogdet": "of a singular matrix PyTorch shifts a pivot; here the inverse is an error that says so",
    "logdet": "of a negative determinant, where the result is NaN, PyTorch answers 0",
}

#: Rows whose gradients are sums that cancel.
LOOSE = {"gradient": 1e-2}

NUM_EXAMPLES = int(os.environ.get("GGML_DERIVATIVE_EXAMPLES", "3"))


def untied(value: Any, rng: Any) -> Any:
    """The arguments with no two elements alike."""
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.float() + torch.from_numpy(np.array(rng.uniform(0, 0.1, tuple(value.shape)), np.float32))
    if isinstance(value, (list, tuple)):
        return type(value)(untied(item, rng) for item in value)
    return value


def compare(name: str, data: st.DataObject) -> bool:
    """Whether there was anything to compare: PyTorch may refuse the call, or have no derivative."""
    row = TABLE[name]
    call = SAMPLES[row.sample](data.draw, row)
    args = untied(call.args, np.random.default_rng(1)) if name in TIES else call.args
    torch.manual_seed(0)
    pair = Pair(row, args, call.kwargs)
    if pair.skip:
        return False
    seeds, own_seeds = pair.seeds(np.random.default_rng(0))
    expected = pair.torch_gradients(seeds)
    if isinstance(expected, Exception):
        return False
    ours = [one for _, one in pair.leaves]
    if name in WITHOUT:
        if any(0 in one.shape for one in (*pair.theirs, *[theirs for theirs, _ in pair.leaves])):
            return False  # of no elements the gradient is known: zeros
        with pytest.raises(ggml.GradientError, match=f"{name}: has no derivative"):
            results = [one for one in pair.call() if one.requires_grad]
            ggml.autograd.grad(results, ours, [ggml.ones_like(one) for one in results], allow_unused=True)
        return True
    found = own_gradients(pair.call(), ours, own_seeds)
    for place, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert_same_gradient(one, other, LOOSE.get(name, 1e-4), f"{name}, leaf {place}")
    return True


@pytest.mark.parametrize("name", [name for name in ROWS if name not in OPEN])
@seed(0)
@settings(
    max_examples=NUM_EXAMPLES,
    suppress_health_check=list(HealthCheck),
    database=None,
    deadline=None,
    phases=[Phase.generate],
)
@given(data=st.data())
def test_derivative_equals_torch(name: str, data: st.DataObject) -> None:
    compare(name, data)


def test_open_rows_are_rows() -> None:
    assert set(OPEN) | TIES | set(LOOSE) | set(WITHOUT) <= set(TABLE)

"""Every row of the table against PyTorch."""

from __future__ import annotations

import warnings

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import ggml
from ggml.ops.namespace import TABLE
from tests.ggml.arrays import to_ggml
from tests.ggml.compare import assert_same
from tests.ggml.oracle import torch_result
from tests.ggml.samples import SAMPLES

ROWS = [row for row in TABLE.values() if row.sample != "internal"]

# Rows that accept more than PyTorch does, on purpose.
WIDER = {"scaled_dot_product_attention", "getitem", "view", "isclose", "bitwise_left_shift", "bitwise_right_shift"}

# A difference of distances; PyTorch rounds each of them to 16 bits.
DISTANCES = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 8e-2}

# Rows whose formula loses more than the last bits, with what they keep.
LOOSE = {
    "digamma": 1e-4,
    "lgamma": 1e-4,
    "tan": 1e-4,
    "std": 1e-4,
    "var": 1e-4,
    "prod": 1e-4,
    "cumprod": 1e-4,
    "addmv": 1e-4,
    "gradient": 1e-4,
    "cosine_embedding_loss": 1e-4,
    "triplet_margin_loss": DISTANCES,
    "triplet_margin_with_distance_loss": DISTANCES,
}

# Rows of vectors whose sign LAPACK chooses: by name, the results that are compared. See test_matrices.py.
SIGNED = {"eigh": (0,), "eig": (), "linalg_svd": (1,), "svd": (1,)}


def test_every_row_has_a_sample() -> None:
    assert {row.sample for row in ROWS} <= set(SAMPLES)


@pytest.mark.parametrize("name", [row.name for row in ROWS])
# The same examples however the test is written: hypothesis's own choice of them depends on its source text.
@seed(0)
@settings(max_examples=40, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def test_row_equals_torch(name: str, data: st.DataObject) -> None:
    row = TABLE[name]
    call = SAMPLES[row.sample](data.draw, row)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = torch_result(row, call.args, call.kwargs)
    args, kwargs = to_ggml(call.args), to_ggml(call.kwargs)
    if row.sample == "complex_only":
        args = [ggml.view_as_complex(args[0])]
    if isinstance(expected, Exception):
        if name in WIDER:
            return
        with pytest.raises(ggml.GgmlError):
            ggml.eval(row.function(*args, **kwargs))
        return
    found = row.function(*args, **kwargs)
    if name in SIGNED:
        assert [tuple(one.shape) for one in found] == [tuple(one.shape) for one in expected]
        found, expected = ([results[place] for place in SIGNED[name]] for results in (found, expected))
    assert_same(found, expected, LOOSE.get(name))

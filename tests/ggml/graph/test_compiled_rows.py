"""Rows as the only operation of a compiled function: what is computed is what they compute at once."""

from __future__ import annotations

import warnings

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ggml
from ggml.core.op import Op
from ggml.ops.namespace import TABLE
from tests.ggml.arrays import to_ggml
from tests.ggml.compare import assert_same
from tests.ggml.ops.test_table import LOOSE
from tests.ggml.oracle import torch_result
from tests.ggml.samples import SAMPLES

# The files of rows that are tried: others are compiled by their own tests and by the fuzzer.
_FILES = ("complexes", "covariance", "fourier_hermitian", "special_functions", "strides", "top_level", "unpooling")
_OTHERS = ("zeta", "igamma", "igammac", "nextafter", "xlog1py", "linalg_vander", "renorm", "unravel_index", "adjoint")


def _is_tried(row: Op) -> bool:
    place = row.function.__module__.rpartition(".")[2]
    return row.sample != "internal" and (place in _FILES or row.name in _OTHERS)


@pytest.mark.parametrize("name", [row.name for row in TABLE.values() if _is_tried(row)])
@settings(max_examples=6, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_row_is_compiled(name: str, data: st.DataObject) -> None:
    row = TABLE[name]
    call = SAMPLES[row.sample](data.draw, row)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = torch_result(row, call.args, call.kwargs)
    if isinstance(expected, Exception):
        return
    args, kwargs = to_ggml(call.args), to_ggml(call.kwargs)
    if row.sample == "complex_only":
        args = [ggml.view_as_complex(args[0])]
    compiled = ggml.compile(row.function)
    for _ in range(2):
        assert_same(compiled(*args, **kwargs), expected, LOOSE.get(name))
    assert compiled.num_recordings == 1

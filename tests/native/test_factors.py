"""Factors that libllama would derive from a slice's number of layers: without the model's own, results are wrong.

That they are exact with them is in test_architectures.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ggml.gguf.value import float32_array, string_array
from tests.native.arch_matrix import run
from tests.native.arch_models import write_model
from tests.native.changed_slices import difference, write_slices

pytestmark = pytest.mark.native


@pytest.mark.parametrize("name", ["gemma2-27b", "gemma3-27b", "minicpm3-dense", "minimax-01-moe"])
def test_without_them_results_are_wrong(name: str, tmp_path: Path) -> None:
    model = write_model(tmp_path / "whole.gguf", name, {"attention.sliding_window": 4})
    whole = run([model])
    exact, wrong = (run(write_slices(model, tmp_path, (3,), changes)) for changes in (None, {"scaled": None}))
    assert all(np.array_equal(one, other) for one, other in zip(whole, exact, strict=True))
    assert difference(whole, wrong) > 1e-4


@pytest.mark.parametrize("scaled", ["nothing", "inp_pos"])
def test_a_graph_without_such_a_factor_is_an_error(scaled: str, tmp_path: Path) -> None:
    model = write_model(tmp_path / "whole.gguf", "minicpm3-dense")
    paths = write_slices(model, tmp_path, (3,), {"scaled": string_array((scaled,))})
    with pytest.raises(RuntimeError, match=f"the graph multiplies no {scaled} of layer 0; this architecture cannot"):
        run(paths)


def test_a_factor_is_there_for_each_layer(tmp_path: Path) -> None:
    model = write_model(tmp_path / "whole.gguf", "minicpm3-dense")
    paths = write_slices(model, tmp_path, (3,), {"scales": float32_array([1.0])})
    with pytest.raises(ValueError, match=r"slice\.scales: has 1 factors for 3 layers; cut again"):
        run(paths)


def test_a_factor_that_is_no_layers_is_an_error(tmp_path: Path) -> None:
    model = write_model(tmp_path / "whole.gguf", "minimax-01-moe")
    paths = write_slices(model, tmp_path, (2, 4, 6), {"derived_scales": float32_array([9.0, 8.0])})
    with pytest.raises(RuntimeError, match="which is no layer's factor"):
        run(paths)

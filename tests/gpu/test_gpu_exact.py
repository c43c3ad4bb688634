"""Slices on a GPU say what the whole model on that GPU says, bit for bit, in the same batch shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import worker_native
from tests.native.conftest import prompt, run
from tests.native.tiny_model import TinyModel, Type, write_model
from worker_native import Slice

GPUS = [device.name for device in worker_native.devices() if device.kind == "gpu"]
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not GPUS, reason="libllama offers no GPU device here")]


@pytest.mark.parametrize("weight_type", [Type.F32, Type.Q8_0, Type.Q4_0], ids=lambda kind: kind.name)
def test_two_slices_equal_the_whole(weight_type: Type, tmp_path: Path) -> None:
    model = TinyModel(weight_type=weight_type)
    ranges = {"whole": [None], "slices": [(0, 2), (2, 4)]}
    logits = {}
    for name, parts in ranges.items():
        files = [write_model(tmp_path / f"{name}{i}.gguf", model, layers) for i, layers in enumerate(parts)]
        slices = [Slice(str(file), device=GPUS[0], n_ctx=64, n_slots=2, n_batch=32, n_ubatch=32) for file in files]
        steps = [
            prompt([5, 6, 7, 8, 9], 0),
            [(10, 5, 0, True)],
            prompt([1, 2, 3], 1),
            [(11, 6, 0, True), (4, 3, 1, True)],
        ]
        logits[name] = np.concatenate([run(slices, rows) for rows in steps])
    np.testing.assert_array_equal(logits["slices"], logits["whole"])

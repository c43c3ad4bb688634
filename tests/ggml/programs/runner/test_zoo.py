"""Every model of the zoo that runs whole on ggml gives without Python what it gives with it, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

from torch.utils._pytree import tree_leaves

import ggml
from ggml.programs.program import Program
from tests.ggml.programs.runner.test_runner import outputs
from tests.ggml.zoo.models import Entry
from tests.ggml.zoo.models.every import ENTRIES
from tests.ggml.zoo.running import exported

pytestmark = [pytest.mark.slow, pytest.mark.native]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_model_is_equal_bit_for_bit(runner: Path, tmp_path: Path, entry: Entry) -> None:
    _, export = exported(entry)
    program = ggml.export.lower(export, require=None)
    if not isinstance(program, Program):
        pytest.skip("parts of it are torch's")
    arguments = entry.arguments(3)
    program.record(*arguments)
    wanted = [one for one in tree_leaves(program(*arguments)) if isinstance(one, ggml.Tensor)]
    names = [one.name for one in program.graph.users]
    given = {name: leaf.numpy() for name, leaf in zip(names, tree_leaves(arguments), strict=True)}
    found = outputs(runner, program, given, tmp_path)
    for one, other in zip(wanted, found, strict=True):
        assert np.array_equal(one.numpy(), other, equal_nan=True)

"""Every model of the zoo runs whole on ggml, and equals PyTorch at two shapes."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

from tests.ggml.zoo.models import Entry
from tests.ggml.zoo.models.every import ENTRIES
from tests.ggml.zoo.running import outcome


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_model_equals_pytorch(entry: Entry) -> None:
    found = outcome(entry)
    assert not found.coverage.missing, str(found.coverage)
    assert found.error <= entry.tolerance
    assert found.program.num_recordings == 2

"""Every model of the zoo runs whole on ggml, or says what is missing, and equals PyTorch at two shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import ggml  # noqa: E402
from tests.ggml.zoo.models import Entry  # noqa: E402
from tests.ggml.zoo.models.every import ENTRIES  # noqa: E402
from tests.ggml.zoo.page import PAGE, row  # noqa: E402
from tests.ggml.zoo.running import outcome, results  # noqa: E402
from tests.ggml.zoo.slicing import assert_sliced_equals  # noqa: E402

# What they say about themselves when they are imported or when a model is made.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{message}:{kind}")
    for message, kind in (
        ("Failed to load image Python extension", "UserWarning"),
        ("Importing from timm.models", "FutureWarning"),
    )
]


def _parameter(entry: Entry) -> Any:
    return pytest.param(entry, id=entry.name, marks=() if entry.is_quick else pytest.mark.slow)


@pytest.mark.parametrize("entry", [_parameter(entry) for entry in ENTRIES])
def test_model_equals_pytorch(entry: Entry, tmp_path: Path) -> None:
    if entry.library:
        pytest.importorskip(entry.library, reason=f"{entry.library} is not installed: pip install 'ggml-cluster[zoo]'")
    found = outcome(entry)
    assert tuple(sorted({row.op for row in found.coverage.missing})) == entry.missing, str(found.coverage)
    assert row(entry, found) in PAGE.read_text(encoding="utf-8"), "run python -m tests.ggml.zoo.page"
    if entry.missing:
        return
    assert found.error <= entry.tolerance
    assert found.program.num_recordings == 2
    found.program.save(tmp_path / "model.ggp")
    again = ggml.load_program(tmp_path / "model.ggp")
    assert again.graph == found.program.graph
    arguments = entry.arguments(2)
    for ours, theirs in zip(results(again, arguments), results(found.program, arguments), strict=True):
        assert torch.equal(torch.from_dlpack(ours), torch.from_dlpack(theirs))
    for num_slices in (1, 2, 3):
        assert_sliced_equals(found.program, entry.arguments(3), num_slices)


def test_there_are_as_many_as_promised() -> None:
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES) >= 45
    assert sum(not entry.missing for entry in ENTRIES) >= 40

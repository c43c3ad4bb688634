"""Every test in this folder starts real Ray actors."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.demo import model_path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.ray)


@pytest.fixture(scope="session")
def demo_model() -> Path:
    return model_path()

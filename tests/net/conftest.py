"""Every test in this folder needs hosts of its own: namespaces on this machine, which take root."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net import rights
from tests.net.hosts import Hosts, processes_in

NUM_HOSTS = 4


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.net)


@pytest.fixture(scope="session", autouse=True)
def has_rights() -> None:
    """Skips all of them, and says why."""
    missing = rights.missing()
    if missing is not None:
        pytest.skip(missing)


@pytest.fixture(scope="session")
def hosts(has_rights: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Hosts that the whole session shares. A test that breaks one mends it; nothing of them is left at the end."""
    made = Hosts.make(tmp_path_factory.mktemp("hosts"), NUM_HOSTS)
    namespaces = made.namespaces()
    try:
        yield made
    finally:
        namespaces |= made.namespaces()
        made.close()
    assert processes_in(namespaces) == []

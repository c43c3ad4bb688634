"""Every test in this folder needs hosts of its own: namespaces on this machine, which take root."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.net import rights
from tests.net.hosts import Hosts, processes_in
from tests.net.sniffer import Sniffer
from tests.net.together import Together

NUM_HOSTS = 4
NUM_NODES = 3
CONTEXT = 256


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


@contextmanager
def made_hosts(root: Path, num_hosts: int) -> Iterator[Hosts]:
    """Nothing of them is left afterwards."""
    made = Hosts.make(root, num_hosts)
    namespaces = made.namespaces()
    try:
        yield made
    finally:
        namespaces |= made.namespaces()
        made.close()
    assert processes_in(namespaces) == []


@pytest.fixture(scope="package")
def hosts(has_rights: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Empty hosts that all tests of this folder share. A test that breaks one mends it."""
    with made_hosts(tmp_path_factory.mktemp("hosts"), NUM_HOSTS) as made:
        yield made


@dataclass(frozen=True)
class Overheard:
    """A cluster, and all that its nodes said to each other from the first word on until it served."""

    together: Together
    start: Sniffer


@pytest.fixture(scope="package")
def overheard(has_rights: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Overheard]:
    """Three nodes that serve the demo, a fourth host that is a stranger, and a fifth that means harm."""
    root = tmp_path_factory.mktemp("together")
    with made_hosts(root, NUM_NODES + 2) as made:
        with Sniffer(made, root / "start.pcap") as sniffer:
            arguments = ("--demo", "--stages", str(NUM_NODES), "-c", str(CONTEXT), "-t", "1")
            together = Together.start(made, *arguments, num_nodes=NUM_NODES)
        yield Overheard(together, sniffer)


@pytest.fixture(scope="package")
def three_hosts_up(overheard: Overheard) -> Together:
    """The one cluster of this folder. A test leaves it as it was."""
    return overheard.together

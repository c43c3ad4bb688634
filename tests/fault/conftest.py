"""One table for all faults of a run, shown at its end, and a cluster that several files share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import CliHome, UpCluster
from tests.fakes.wire_backends import wait_until
from tests.fault.streams import health
from tests.fault.table import Table, write_page


@pytest.fixture(scope="session")
def table() -> Iterator[Table]:
    found = Table()
    yield found
    write_page(found)
    print("\n" + "\n".join(found.lines()))


@pytest.fixture(scope="package")
def home_with_http(up_cluster: UpCluster) -> Iterator[CliHome]:
    """Two stages and an HTTP server. Whoever kills something of it leaves it serving."""
    with up_cluster("--demo", "--stages", "2") as home:
        wait_until(lambda: health(str(home.state()["http"])) == 200, 30)
        yield home

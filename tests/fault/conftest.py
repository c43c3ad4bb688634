"""One table for all faults of a run, shown at its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fault.table import Table, write_page


@pytest.fixture(scope="session")
def table() -> Iterator[Table]:
    found = Table()
    yield found
    write_page(found)
    print("\n" + "\n".join(found.lines()))

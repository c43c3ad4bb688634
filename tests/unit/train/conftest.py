"""What the tests of training together share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.train.ranks import Ranks

MOST_RANKS = 4


@pytest.fixture(scope="package")
def ranks() -> Iterator[Ranks]:
    """Processes for up to four ranks."""
    started = Ranks(MOST_RANKS)
    try:
        yield started
    finally:
        started.close()

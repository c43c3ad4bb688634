"""A minute of the soak, and what its figures are made of."""

from __future__ import annotations

import pytest

from tests.conftest import UpCluster
from tests.fault.memory_slopes import Sample, slopes
from tests.fault.soak import NUM_STAGES, soak
from tests.fault.streams import NUM_STREAMS, wait_ready


def test_slopes_are_those_between_kills() -> None:
    """Of two processes that each grow by 6 MB a minute from a level of their own, once they are warm."""
    first = [Sample("a stage", 1, at_s, 50_000_000 + 100_000 * max(at_s, 10)) for at_s in range(40)]
    second = [Sample("a stage", 2, at_s, 20_000_000 + 100_000 * max(at_s, 70)) for at_s in range(60, 100)]
    short = [Sample("the raylet", 3, at_s, 0) for at_s in range(5)]
    found = slopes([*first, *second, *short], 10)
    assert found["a stage"] == pytest.approx(6.0)
    assert found["the raylet"] is None


@pytest.mark.ray
@pytest.mark.slow
def test_fault_30_a_minute_of_kills(up_cluster: UpCluster) -> None:
    with up_cluster("--demo", "--stages", str(NUM_STAGES), "--no-http") as home:
        wait_ready(home)
        found = soak(home, minutes=1, every_s=15, seed=1, tell=print)
    print(found.table(warm_s=6))
    assert found.broken == []
    assert found.kills.total() == 3
    assert found.num_ended > NUM_STREAMS

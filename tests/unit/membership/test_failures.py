"""What strangers may cost."""

from __future__ import annotations

from cluster.membership.failures import MAX_ADDRESSES, MAX_LINES_PER_MINUTE, MAX_PER_MINUTE, Failures


def test_failures_of_one_address_are_counted_for_a_minute() -> None:
    failures = Failures()
    assert [failures.add("10.0.0.9", 100.0) for _ in range(MAX_PER_MINUTE + 1)] == [True] * MAX_PER_MINUTE + [False]
    assert failures.is_over("10.0.0.9", 159.0)
    assert not failures.is_over("10.0.0.8", 159.0)
    assert not failures.is_over("10.0.0.9", 160.0)
    assert failures.add("10.0.0.9", 160.0)


def test_nobody_is_kept_out_by_his_neighbour() -> None:
    failures = Failures()
    for _ in range(2 * MAX_PER_MINUTE):
        failures.add("fd77::1", 100.0)
    assert failures.is_over("fd77::1", 100.0)
    assert not failures.is_over("fd77::2", 100.0)


def test_addresses_are_forgotten_when_there_are_many_and_the_log_stays_short() -> None:
    failures = Failures()
    logged = [failures.add(f"fd77:0:0:{number:x}::1", 100.0) for number in range(2 * MAX_ADDRESSES)]
    assert sum(logged) == MAX_LINES_PER_MINUTE
    assert len(failures._counted) == MAX_ADDRESSES

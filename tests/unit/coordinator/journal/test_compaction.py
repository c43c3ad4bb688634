"""The file stays small, however much is told, and what is open stays in it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.api.results import PromptCounts, TokenEvent
from cluster.coordinator.journal import ledger as ledger_module
from cluster.coordinator.journal.kept import Kept
from cluster.coordinator.journal.ledger import Entry, Ledger
from tests.fakes.wire_backends import wait_until
from tests.unit.coordinator.journal.samples import (
    IDENTITY,
    LAST,
    Disk,
    asked,
    kept_at,
    nothing,
    opened,
    settle,
    token,
)

MAX_BYTES = 4000


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy takes many of them."""
    monkeypatch.setattr(ledger_module, "COPY_BYTES", 300)


def test_the_file_is_bounded_in_a_long_run(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    sizes = []
    progress = TokenEvent(None, "", prompt=PromptCounts(3, 0, 1))
    with opened(path, max_bytes=MAX_BYTES, sync=lambda _: None) as (journal, _):
        journal.begin(asked(0), nothing)
        journal.tell(asked(0).ticket, token(0), nothing)
        for number in range(1, 400):
            journal.begin(asked(number), nothing)
            journal.tell(asked(number).ticket, progress, nothing)
            for one in range(20):
                journal.tell(asked(number).ticket, token(one), nothing)
            journal.tell(asked(number).ticket, LAST, nothing)
            settle(journal)
            sizes.append(path.stat().st_size)
        journal.tell(asked(0).ticket, token(1), nothing)
    assert max(sizes) < 3 * MAX_BYTES
    assert sum(later < earlier for earlier, later in itertools.pairwise(sizes)) > 20
    assert kept_at(path) == [Kept(asked(0), (token(0), token(1)))]


def test_what_lives_may_be_larger_than_the_bound(tmp_path: Path) -> None:
    """The file is not copied all the time then: twice what lives has room in it."""
    path = tmp_path / "journal"
    disk = Disk()
    with opened(path, max_bytes=MAX_BYTES, sync=disk) as (journal, _):
        journal.begin(asked(1), nothing)
        for number in range(5000):
            journal.tell(asked(1).ticket, token(number), nothing)
            if number % 10 == 0:
                settle(journal)
    assert 500 <= disk.num_syncs < 530
    assert kept_at(path) == [Kept(asked(1), tuple(map(token, range(5000))))]


def test_what_begins_and_ends_while_a_file_is_copied(tmp_path: Path) -> None:
    """Whatever happens to a request before, while and after the copy comes by its records."""
    path = tmp_path / "journal"
    ledger = Ledger(path, IDENTITY, MAX_BYTES, lambda _: None)
    ledger.start([])
    told: dict[int, list[TokenEvent]] = {}
    num_copies, was_copying = 0, False
    for step in range(3000):
        entries: list[Entry] = []
        if step % 7 == 0:
            told[step] = []
            entries.append((asked(step).ticket, asked(step), nothing))
        for number in told:
            event = replace(token(step), stop_string="x") if (step + number) % 5 == 0 else token(step)
            told[number].append(event)
            entries.append((asked(number).ticket, event, nothing))
        for number in [number for number in told if (step * 31 + number) % 41 == 0]:
            del told[number]
            entries.append((asked(number).ticket, LAST, nothing))
        ledger.write(entries)
        ledger.tidy()
        num_copies += was_copying and not ledger.is_copying
        was_copying = ledger.is_copying
    assert num_copies > 10
    ledger.close()
    assert kept_at(path) == [Kept(asked(number), tuple(events)) for number, events in told.items()]


def test_a_copy_goes_on_while_nothing_comes(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    disk = Disk()
    with opened(path, max_bytes=MAX_BYTES, sync=disk) as (journal, _):
        disk.hold()
        journal.begin(asked(1), nothing)
        for number in range(500):
            journal.tell(asked(1).ticket, token(number), nothing)
        journal.tell(asked(1).ticket, LAST, nothing)
        journal.begin(asked(2), nothing)
        disk.let_go.set()
        settle(journal)
        wait_until(lambda: 0 < path.stat().st_size < MAX_BYTES)
    assert kept_at(path) == [Kept(asked(2), ())]


def test_an_end_in_the_middle_of_a_copy_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    ledger = Ledger(path, IDENTITY, MAX_BYTES, lambda _: None)
    ledger.start([])
    events = [token(number) for number in range(500)]
    entries: list[Entry] = [(asked(1).ticket, event, nothing) for event in events]
    ledger.write([(asked(1).ticket, asked(1), nothing)])
    for entry in entries:
        ledger.write([entry])
    ledger.tidy()
    assert ledger.is_copying
    ledger.close()
    assert [one.name for one in tmp_path.iterdir()] == ["journal"]
    assert kept_at(path) == [Kept(asked(1), tuple(events))]


def test_a_damaged_file_is_not_copied(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal"
    with opened(path, max_bytes=MAX_BYTES, sync=lambda _: None) as (journal, _):
        journal.begin(asked(1), nothing)
        settle(journal)
        with path.open("r+b") as file:
            file.seek(path.stat().st_size - 1)
            file.write(b"\xff")
        for number in range(500):
            journal.tell(asked(1).ticket, token(number), nothing)
        wait_until(lambda: not path.exists())
    assert "damaged; it cannot be copied" in caplog.text
    assert kept_at(path) == []

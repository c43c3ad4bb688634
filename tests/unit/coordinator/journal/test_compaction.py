"""The file stays small, however much is told, and what is open stays in it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.api.results import PromptCounts, TokenEvent
from cluster.coordinator.journal import ledger as ledger_module
from cluster.coordinator.journal.kept import Kept
from cluster.coordinator.journal.ledger import Ledger
from cluster.coordinator.journal.records import begin_message
from tests.unit.coordinator.journal.samples import IDENTITY, Disk, asked, kept_at, opened, tell, token

MAX_BYTES = 4000


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy takes many of them."""
    monkeypatch.setattr(ledger_module, "COPY_BYTES", 300)


def test_the_file_is_bounded_in_a_long_run(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    sizes = []
    progress = TokenEvent(None, "", prompt=PromptCounts(3, 0, 1))
    with opened(path, max_bytes=MAX_BYTES) as (journal, _):
        journal.begin(asked(0))
        tell(journal, 0, token(0))
        for number in range(1, 200):
            journal.begin(asked(number))
            tell(journal, number, progress)
            for one in range(20):
                tell(journal, number, token(one))
            journal.end(asked(number).ticket)
            sizes.append(path.stat().st_size)
        tell(journal, 0, token(1))
    assert max(sizes) < 2 * MAX_BYTES
    assert sum(later < earlier for earlier, later in itertools.pairwise(sizes)) > 20
    assert kept_at(path) == [Kept(asked(0), (token(0), token(1)))]


@pytest.mark.parametrize("num_tokens", [1, 2000])
def test_long_prompts_and_few_tokens_are_bounded_too(tmp_path: Path, num_tokens: int) -> None:
    """What begins is much longer than what is copied behind each of the few calls."""
    path = tmp_path / "journal"
    sizes = []
    with opened(path, max_bytes=10 * MAX_BYTES) as (journal, _):
        for number in range(100):
            journal.begin(asked(number, token_ids=(1 << 30,) * num_tokens))
            tell(journal, number, token(1))
            journal.end(asked(number).ticket)
            sizes.append(path.stat().st_size)
    assert max(sizes) < 20 * MAX_BYTES
    assert kept_at(path) == []


def test_what_lives_may_be_larger_than_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is not copied all the time then: twice what lives has room in it."""
    path = tmp_path / "journal"
    disk = Disk(monkeypatch)
    with opened(path, max_bytes=MAX_BYTES) as (journal, _):
        journal.begin(asked(1))
        for number in range(2000):
            tell(journal, 1, token(number))
    assert 2000 < disk.num_writes < 3000
    assert kept_at(path) == [Kept(asked(1), tuple(map(token, range(2000))))]


def test_what_begins_and_ends_while_a_file_is_copied(tmp_path: Path) -> None:
    """Whatever happens to a request before, while and after the copy comes by its records."""
    path = tmp_path / "journal"
    ledger = Ledger(path, IDENTITY, MAX_BYTES)
    ledger.start([])
    told: dict[int, list[TokenEvent]] = {}
    num_copies, was_copying = 0, False
    for step in range(1000):
        if step % 7 == 0:
            told[step] = []
            ledger.begin(begin_message(asked(step)))
        events = {
            number: replace(token(step), stop_string="x") if (step + number) % 5 == 0 else token(step)
            for number in told
        }
        for number, event in events.items():
            told[number].append(event)
        ledger.tell([(asked(number).ticket, event) for number, event in events.items()])
        for number in [number for number in told if (step * 31 + number) % 41 == 0]:
            del told[number]
            ledger.end(asked(number).ticket)
        num_copies += was_copying and not ledger.is_copying
        was_copying = ledger.is_copying
    assert num_copies > 10
    ledger.close()
    assert kept_at(path) == [Kept(asked(number), tuple(events)) for number, events in told.items()]


def test_an_end_in_the_middle_of_a_copy_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    ledger = Ledger(path, IDENTITY, MAX_BYTES)
    ledger.start([])
    events = []
    ledger.begin(begin_message(asked(1)))
    while not ledger.is_copying:
        events.append(token(len(events)))
        ledger.tell([(asked(1).ticket, events[-1])])
    assert sorted(one.name for one in tmp_path.iterdir()) == [".journal-new", "journal"]
    ledger.close()
    assert [one.name for one in tmp_path.iterdir()] == ["journal"]
    assert kept_at(path) == [Kept(asked(1), tuple(events))]


def test_a_damaged_file_is_not_copied(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal"
    with opened(path, max_bytes=MAX_BYTES) as (journal, _):
        journal.begin(asked(1))
        with path.open("r+b") as file:
            file.seek(path.stat().st_size - 1)
            file.write(b"\xff")
        for number in range(200):
            tell(journal, 1, token(number))
        assert list(tmp_path.iterdir()) == []
    assert "damaged; it cannot be copied" in caplog.text

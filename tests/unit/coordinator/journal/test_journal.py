"""What is written when a method returns, of which requests, and from which threads."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.api.sampling import SamplingParams
from cluster.coordinator.journal import frames, ledger
from cluster.coordinator.journal.asked import Asked
from cluster.coordinator.journal.kept import Kept
from cluster.coordinator.journal.reading import read_kept
from tests.unit.coordinator.journal.samples import IDENTITY, LAST, Disk, asked, kept_at, opened, tell, token


@pytest.mark.parametrize("max_bytes", [1 << 20, 1500])
def test_it_is_in_the_file_when_a_method_returns(tmp_path: Path, max_bytes: int) -> None:
    path = tmp_path / "journal"
    with opened(path, max_bytes=max_bytes) as (journal, _):
        journal.begin(asked(1))
        assert read_kept(path, IDENTITY) == [Kept(asked(1), ())]
        for number in range(100):
            tell(journal, 1, token(number))
            assert read_kept(path, IDENTITY) == [Kept(asked(1), tuple(map(token, range(number + 1))))]
        journal.end(asked(1).ticket)
        assert read_kept(path, IDENTITY) == []


def test_a_step_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    more = replace(token(7), stop_string="x")
    with opened(tmp_path / "journal") as (journal, _):
        for number in range(3):
            journal.begin(asked(number))
        disk.num_writes = 0
        journal.tell([(asked(number).ticket, event) for event in (token(1), more) for number in range(3)])
        assert disk.num_writes == 1
    assert kept_at(tmp_path / "journal") == [Kept(asked(number), (token(1), more)) for number in range(3)]


def test_of_unknown_requests_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    with opened(tmp_path / "journal") as (journal, _):
        disk.num_writes = 0
        tell(journal, 1, token(1), LAST)
        journal.tell([])
        journal.end(asked(1).ticket)
        assert disk.num_writes == 0


def test_what_has_ended_is_told_no_more(tmp_path: Path) -> None:
    with opened(tmp_path / "journal") as (journal, _):
        for number in (1, 2):
            journal.begin(asked(number))
            tell(journal, number, token(1))
        journal.end(asked(1).ticket)
        journal.end(asked(1).ticket)
        journal.tell([(asked(number).ticket, token(2)) for number in (1, 2)])
    assert kept_at(tmp_path / "journal") == [Kept(asked(2), (token(1), token(2)))]


def test_a_last_event_is_left_out(tmp_path: Path) -> None:
    with opened(tmp_path / "journal") as (journal, _):
        journal.begin(asked(1))
        tell(journal, 1, token(1), LAST, replace(token(3), finish_reason=LAST.finish_reason))
    assert kept_at(tmp_path / "journal") == [Kept(asked(1), (token(1),))]


def test_a_ticket_begun_again_names_the_newer_request(tmp_path: Path) -> None:
    newer = asked(1, token_ids=(9,))
    with opened(tmp_path / "journal") as (journal, _):
        for number in (1, 2):
            journal.begin(asked(number))
        tell(journal, 1, token(1))
        journal.begin(newer)
        tell(journal, 1, token(2))
    assert kept_at(tmp_path / "journal") == [Kept(asked(2), ()), Kept(newer, (token(2),))]


def test_before_it_is_open_and_after_its_end_all_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with opened(path) as (journal, _):
        journal.begin(asked(1))
    for _ in range(2):
        journal.begin(asked(2))
        tell(journal, 1, token(1))
        journal.end(asked(1).ticket)
        journal.close()
    assert read_kept(path, IDENTITY) == [Kept(asked(1), ())]


@pytest.mark.parametrize(
    "wrong",
    [
        asked(1, ticket=b"short"),
        asked(1, client="x" * 300),
        asked(1, token_ids=(-1,)),
        asked(1, token_ids=("word",)),
        asked(1, scales=(0.0,) * 65),
        asked(1, scales=(float("nan"),)),
        asked(1, params=SamplingParams(stop=("\ud800",))),
    ],
    ids=["ticket", "client", "token", "type", "scales", "scale", "text"],
)
def test_what_would_not_be_read_back_is_not_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: Asked
) -> None:
    with opened(tmp_path / "journal") as (journal, _):
        journal.begin(asked(1))  # its ticket now names the other one
        journal.begin(replace(asked(1), ticket=wrong.ticket))
        journal.begin(wrong)
        journal.tell([(wrong.ticket, token(1))])
        journal.begin(asked(2))
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert [one for one in kept_at(tmp_path / "journal") if one.asked.ticket == wrong.ticket] == []
    assert Kept(asked(2), ()) in kept_at(tmp_path / "journal")


def test_no_more_are_open_than_are_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_OPEN", 2)
    with opened(tmp_path / "journal") as (journal, _):
        for number in range(4):
            journal.begin(asked(number))
        journal.end(asked(0).ticket)
        journal.begin(asked(5))
    assert [kept.asked for kept in kept_at(tmp_path / "journal")] == [asked(1), asked(5)]


def test_a_request_that_is_told_too_much_at_once_is_not_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "journal") as (journal, _):
        for number in (1, 2):
            journal.begin(asked(number))
        monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 1000)
        tell(journal, 1, replace(token(1), text="x" * 1000, stop_string="x"), token(2))
        tell(journal, 2, token(2))
    assert kept_at(tmp_path / "journal") == [Kept(asked(2), (token(2),))]


def test_many_threads_begin_and_end_while_one_tells(tmp_path: Path) -> None:
    """With a small file, so that it is copied meanwhile."""
    path = tmp_path / "journal"
    num_threads, num_requests = 4, 60
    steps, is_over = list[int](), threading.Event()

    def ask(thread: int) -> None:
        for number in range(thread * num_requests, (thread + 1) * num_requests):
            journal.begin(asked(number))
            if number % 10:
                journal.end(asked(number).ticket)

    def tell_all() -> None:
        while not is_over.is_set():
            step = len(steps)
            journal.tell([(asked(number).ticket, token(step)) for number in range(0, num_threads * num_requests, 5)])
            steps.append(step)

    with opened(path, max_bytes=3000) as (journal, _):
        teller = threading.Thread(target=tell_all)
        askers = [threading.Thread(target=ask, args=(thread,)) for thread in range(num_threads)]
        for one in [teller, *askers]:
            one.start()
        for one in askers:
            one.join()
        is_over.set()
        teller.join()
    kept = kept_at(path)
    assert sorted(one.asked.ticket for one in kept) == [
        asked(number).ticket for number in range(0, num_threads * num_requests, 10)
    ]
    for one in kept:  # from its begin on, each step
        assert one.events == tuple(map(token, steps[len(steps) - len(one.events) :]))


def test_how_often_one_was_tried_without_an_event_is_known(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with opened(path) as (journal, _):
        journal.begin(asked(1))
        journal.begin(asked(2))
        tell(journal, 2, token(1))
        journal.try_again(asked(3).ticket)  # nothing is known of it
    for num_tries in range(1, 4):
        with opened(path) as (journal, kept):
            assert [one.num_tries for one in kept] == [num_tries - 1, 0]
            for one in kept:
                journal.try_again(one.asked.ticket)
            tell(journal, 2, token(2))
    assert [one.num_tries for one in kept_at(path)] == [3, 0]
    with opened(path) as (journal, _):
        tell(journal, 1, replace(token(1), logprob=None))
    assert [one.num_tries for one in kept_at(path)] == [0, 0]


def test_tries_outlive_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with opened(path, max_bytes=1) as (journal, _):
        journal.begin(asked(1))
        journal.begin(asked(2))
        journal.try_again(asked(1).ticket)
        for number in range(2000):
            tell(journal, 2, token(number))
    (first, second) = kept_at(path)
    assert (first.num_tries, second.num_tries, len(second.events)) == (1, 0, 2000)

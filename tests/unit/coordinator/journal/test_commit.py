"""Nobody is told what is not on disk; and to wait for the disk costs one wait for all that has come together."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.api.errors import StageLostError
from cluster.api.sampling import SamplingParams
from cluster.coordinator.journal import frames, ledger
from cluster.coordinator.journal.kept import Kept
from cluster.coordinator.journal.reading import read_kept
from tests.unit.coordinator.journal.samples import (
    IDENTITY,
    LAST,
    WAIT_S,
    Disk,
    asked,
    kept_at,
    nothing,
    noting,
    opened,
    settle,
    token,
)


def test_nothing_follows_before_it_is_on_disk(tmp_path: Path) -> None:
    disk, notes = Disk(), list[object]()
    with opened(tmp_path / "journal", sync=disk) as (journal, _):
        disk.hold()
        journal.begin(asked(1), noting(notes, "begun"))
        assert disk.reached.wait(WAIT_S)
        journal.tell(asked(1).ticket, token(1), noting(notes, "told"))
        assert notes == []
        disk.reached.clear()
        disk.let_go.set()
        settle(journal)
        assert notes == ["begun", "told"]


@pytest.mark.parametrize("max_bytes", [1 << 20, 1500])
def test_a_power_failure_takes_nothing_that_anybody_was_told(tmp_path: Path, max_bytes: int) -> None:
    """Of a file, nothing is sure but what it had when it was last synced."""
    sure = [b""]
    told: list[tuple[int, bytes]] = []

    def sync(descriptor: int) -> None:
        sure[0] = Path(f"/proc/self/fd/{descriptor}").read_bytes()

    with opened(tmp_path / "journal", sync=sync, max_bytes=max_bytes) as (journal, _):
        journal.begin(asked(1), nothing)
        for number in range(300):
            journal.tell(asked(1).ticket, token(number), lambda number=number: told.append((number, sure[0])))
            if number % 3 == 0:
                settle(journal)
    assert [number for number, _ in told] == list(range(300))
    for number, data in told:
        (tmp_path / "sure").write_bytes(data)
        ((_, events),) = [(kept.asked, kept.events) for kept in read_kept(tmp_path / "sure", IDENTITY)]
        assert token(number) in events


def test_what_comes_together_waits_together(tmp_path: Path) -> None:
    disk, notes = Disk(), list[object]()
    with opened(tmp_path / "journal", sync=disk) as (journal, _):
        disk.hold()
        journal.begin(asked(1), noting(notes, -1))
        assert disk.reached.wait(WAIT_S)
        num_syncs = disk.num_syncs
        for number in range(2000):
            journal.tell(asked(1).ticket, token(number), noting(notes, number))
        disk.let_go.set()
        settle(journal)
        assert disk.num_syncs <= num_syncs + 2  # all of them, and what `settle` tells behind them
        assert notes == list(range(-1, 2000))
    assert kept_at(tmp_path / "journal") == [Kept(asked(1), tuple(map(token, range(2000))))]


def test_what_follows_on_one_does_not_hurt_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("the stream is closed")

    notes = list[object]()
    with opened(tmp_path / "journal") as (journal, _):
        journal.begin(asked(1), fail)
        journal.tell(asked(1).ticket, token(1), fail)
        journal.tell(asked(1).ticket, token(2), noting(notes, 2))
        settle(journal)
    assert notes == [2]
    assert len(caplog.records) == 2
    assert kept_at(tmp_path / "journal") == [Kept(asked(1), (token(1), token(2)))]


def test_outputs_of_unknown_requests_pass_without_a_disk(tmp_path: Path) -> None:
    disk, notes = Disk(), list[object]()
    with opened(tmp_path / "journal", sync=disk) as (journal, _):
        num_syncs = disk.num_syncs
        journal.tell(asked(1).ticket, token(1), noting(notes, 1))
        journal.tell(asked(1).ticket, LAST, noting(notes, 2))
        settle(journal)
        assert notes == [1, 2]
        assert disk.num_syncs == num_syncs


def test_the_last_output_ends_a_request(tmp_path: Path) -> None:
    with opened(tmp_path / "journal") as (journal, _):
        for number, last in enumerate([LAST, replace(token(3), finish_reason=LAST.finish_reason), StageLostError("x")]):
            journal.begin(asked(number), nothing)
            journal.tell(asked(number).ticket, token(1), nothing)
            journal.tell(asked(number).ticket, last, nothing)
            journal.tell(asked(number).ticket, token(2), nothing)
    assert kept_at(tmp_path / "journal") == []


def test_a_ticket_begun_again_names_the_newer_request(tmp_path: Path) -> None:
    newer = asked(1, token_ids=(9,))
    with opened(tmp_path / "journal") as (journal, _):
        for number in (1, 2):
            journal.begin(asked(number), nothing)
        journal.tell(newer.ticket, token(1), nothing)
        journal.begin(newer, nothing)
        journal.tell(newer.ticket, token(2), nothing)
    assert kept_at(tmp_path / "journal") == [Kept(asked(2), ()), Kept(newer, (token(2),))]


def test_whatever_comes_after_the_end_just_passes(tmp_path: Path) -> None:
    notes = list[object]()
    with opened(tmp_path / "journal") as (journal, _):
        journal.begin(asked(1), noting(notes, 1))
    journal.begin(asked(2), noting(notes, 2))
    journal.tell(asked(1).ticket, token(1), noting(notes, 3))
    assert notes == [1, 2, 3]
    journal.close()
    assert kept_at(tmp_path / "journal") == [Kept(asked(1), ())]


@pytest.mark.parametrize(
    "wrong",
    [
        asked(1, ticket=b"short"),
        asked(1, client="x" * 300),
        asked(1, token_ids=(-1,)),
        asked(1, scales=(0.0,) * 65),
        asked(1, scales=(float("nan"),)),
        asked(1, params=SamplingParams(stop=("\ud800",))),
    ],
    ids=["ticket", "client", "token", "scales", "scale", "text"],
)
def test_what_would_not_be_read_back_is_not_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: object
) -> None:
    notes = list[object]()
    with opened(tmp_path / "journal") as (journal, _):
        journal.begin(wrong, noting(notes, 1))  # type: ignore[arg-type]
        journal.tell(asked(1).ticket, token(1), noting(notes, 2))
        journal.begin(asked(2), nothing)
        settle(journal)
    assert notes == [1, 2]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert kept_at(tmp_path / "journal") == [Kept(asked(2), ())]


def test_no_more_are_open_than_are_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_OPEN", 2)
    with opened(tmp_path / "journal") as (journal, _):
        for number in range(4):
            journal.begin(asked(number), nothing)
        journal.tell(asked(0).ticket, LAST, nothing)
        journal.begin(asked(5), nothing)
    assert [kept.asked for kept in kept_at(tmp_path / "journal")] == [asked(1), asked(5)]


def test_a_request_that_is_told_too_much_at_once_is_not_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "journal") as (journal, _):
        for number in (1, 2):
            journal.begin(asked(number), nothing)
        settle(journal)
        monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 1000)
        journal.tell(asked(1).ticket, replace(token(1), text="x" * 1000, stop_string="x"), nothing)
        journal.tell(asked(1).ticket, token(2), nothing)
        journal.tell(asked(2).ticket, token(2), nothing)
    assert kept_at(tmp_path / "journal") == [Kept(asked(2), (token(2),))]

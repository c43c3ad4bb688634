"""Where the disk fails, requests go on; and nobody takes up a request from a file that lacks what was told of it."""

from __future__ import annotations

import errno
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.coordinator.journal import journal as journal_module
from cluster.coordinator.journal.frames import frame_of
from cluster.coordinator.journal.kept import Kept
from cluster.coordinator.journal.records import begin_message, begin_record, header_record
from tests.other_user import OTHER_UID, needs_other_user
from tests.unit.coordinator.journal.samples import IDENTITY, Disk, asked, kept_at, opened, tell, token

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture
def journal_of_one(tmp_path: Path) -> Path:
    """In which request 1 is open."""
    path = tmp_path / "journal"
    path.write_bytes(frame_of(header_record(IDENTITY)) + frame_of(begin_record(1, begin_message(asked(1)))))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_requests_go_on_without_the_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    disk = Disk(monkeypatch)
    with opened(tmp_path / "journal") as (journal, _):
        journal.begin(asked(1))
        disk.error = OSError(number, os.strerror(number))
        tell(journal, 1, token(1))
        assert list(tmp_path.iterdir()) == []  # before anybody is told what it lacks
        for other in range(2, 9):
            tell(journal, 1, token(other))
            journal.begin(asked(other))
            journal.end(asked(1).ticket)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert os.strerror(number) in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_what_begins_or_ends_without_the_disk_takes_the_file_away_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    for ends in (False, True):
        disk.error = None
        with opened(tmp_path / "journal") as (journal, _):
            journal.begin(asked(1))
            disk.error = OSError(errno.ENOSPC, "full")
            if ends:
                journal.end(asked(1).ticket)
            else:
                journal.begin(asked(2))
            assert list(tmp_path.iterdir()) == []


def test_a_fault_of_our_own_hurts_no_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "journal") as (journal, _):
        journal.begin(asked(1))
        monkeypatch.setattr("cluster.coordinator.journal.ledger.is_plain", lambda _: 1 / 0)
        tell(journal, 1, token(1))
        assert list(tmp_path.iterdir()) == []
    assert "ZeroDivisionError" in caplog.text


def test_a_copy_that_has_no_room_takes_both_files_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    with opened(tmp_path / "journal", max_bytes=1000) as (journal, _):
        journal.begin(asked(1))
        number = 0
        while len(list(tmp_path.iterdir())) < 2:
            tell(journal, 1, token(number := number + 1))
        disk.error = OSError(errno.ENOSPC, "full")
        tell(journal, 1, token(0))
        assert list(tmp_path.iterdir()) == []


def test_what_begins_once_there_is_room_again_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal_module, "RETRY_S", 0.0)
    path = tmp_path / "journal"
    disk = Disk(monkeypatch)
    with opened(path) as (journal, _):
        journal.begin(asked(1))
        disk.error = OSError(errno.ENOSPC, "full")
        tell(journal, 1, token(1))
        journal.begin(asked(2))
        disk.error = None
        for number in (1, 2):
            tell(journal, number, token(2))
        journal.begin(asked(3))
        for number in (1, 2, 3):
            tell(journal, number, token(3))
    assert kept_at(path) == [Kept(asked(3), (token(3),))]
    assert [record.message.partition(":")[2][:8] for record in caplog.records] == [" [Errno ", " written"]


# A limit on the size of files stands for a disk that is full: part of a write arrives.
FULL = """
import resource, sys
from pathlib import Path
from tests.unit.coordinator.journal.samples import asked, opened, tell, token

path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
with opened(path) as (journal, _):
    journal.begin(asked(1))
    for number in range(1000):
        size = path.stat().st_size if path.exists() else 0
        tell(journal, 1, token(number))
        assert not path.exists() or path.stat().st_size > size
"""


def test_a_write_that_arrives_in_part(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    command = [sys.executable, "-c", FULL, str(path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("File too large") == 1
    assert not path.exists()


def test_no_room_for_a_new_file(journal_of_one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept goes on, and is not to be taken up again from a file that lacks what follows."""
    disk = Disk(monkeypatch)
    disk.error = OSError(errno.ENOSPC, "full")
    with opened(journal_of_one) as (journal, kept):
        assert kept == [Kept(asked(1), ())]
        tell(journal, 1, token(1))
    assert list(journal_of_one.parent.iterdir()) == []


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    umask = os.umask(0)
    try:
        with opened(path) as (journal, _):
            journal.begin(asked(1))
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["journal"]


def test_a_file_that_others_may_write_is_not_believed(journal_of_one: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal_of_one.chmod(0o666)
    with opened(journal_of_one) as (journal, kept):
        assert kept == []
        assert stat.S_IMODE(journal_of_one.stat().st_mode) == 0o600
        journal.begin(asked(2))
    assert "others may write it" in caplog.text
    assert kept_at(journal_of_one) == [Kept(asked(2), ())]


@needs_other_user
def test_a_file_of_another_user_is_not_believed(journal_of_one: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.chown(journal_of_one, OTHER_UID, OTHER_UID)
    assert kept_at(journal_of_one) == []
    assert "belongs to another user" in caplog.text
    assert journal_of_one.stat().st_uid == os.geteuid()


def test_links_are_not_followed(journal_of_one: Path, caplog: pytest.LogCaptureFixture) -> None:
    target = journal_of_one.rename(journal_of_one.with_name("target"))
    before = target.read_bytes()
    for path in (journal_of_one, journal_of_one.with_name(".journal-new")):
        path.symlink_to(target)
    with opened(journal_of_one) as (journal, kept):
        assert kept == []
        journal.begin(asked(2))
    assert len(caplog.records) == 1
    assert not journal_of_one.is_symlink()
    assert target.read_bytes() == before


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(tmp_path / "journal")
    assert kept_at(tmp_path / "journal") == []
    assert "no plain file" in caplog.text


@pytest.mark.parametrize("kind", ["missing", "shared", "folder"])
def test_a_place_that_cannot_be_used_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    folder = tmp_path / "folder"
    if kind != "missing":
        folder.mkdir(mode=0o700)
    if kind == "shared":
        folder.chmod(0o777)
    if kind == "folder":
        (folder / "journal").mkdir()
    with opened(folder / "journal") as (journal, kept):
        assert kept == []
        journal.begin(asked(1))
        tell(journal, 1, token(1))
    assert "cannot be taken up again" in caplog.text
    assert sorted(path.name for path in folder.glob("*")) == (["journal"] if kind == "folder" else [])


def test_the_place_of_another_coordinator_is_left_to_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that hung, and was replaced, must not take away what its successor writes."""
    path = tmp_path / "journal"
    with opened(path, max_bytes=1000) as (hung, _):
        hung.begin(asked(1))
        with opened(path) as (journal, kept):
            assert kept == [Kept(asked(1), ())]
            journal.begin(asked(2))
            for number in range(200):
                tell(hung, 1, token(number))
            hung.begin(asked(3))
            tell(journal, 2, token(7))
    assert "another coordinator" in caplog.text
    assert kept_at(path) == [Kept(asked(1), ()), Kept(asked(2), (token(7),))]

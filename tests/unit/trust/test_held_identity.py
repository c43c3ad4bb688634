"""A running process follows its identity's files, and takes nothing that others would not believe."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.api.errors import ClusterError, UnauthenticatedError
from cluster.trust.held_identity import HeldIdentity
from cluster.trust.identity import CA_FILE, CERTIFICATE_FILE, KEY_FILE, Identity, write_identity
from tests.fakes.certificates import CLIENT_ONLY, HOUR, FakeAuthority

AUTHORITY = FakeAuthority.new()
OTHERS = FakeAuthority.new("zzzzzz")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path / "identity"


def held(folder: Path, identity: Identity) -> HeldIdentity:
    write_identity(folder, identity)
    return HeldIdentity(folder, "node-1", "abcdef")


def test_renewed_files_are_taken(folder: Path) -> None:
    first, second = AUTHORITY.identity("node-1"), AUTHORITY.identity("node-1")
    follower = held(folder, first)
    assert follower.current() == first
    assert follower.current() is follower.current(), "nothing is read again where nothing has changed"
    write_identity(folder, second)
    assert follower.current() == second


BAD: dict[str, Callable[[Path], None]] = {
    "expired": lambda folder: write_identity(folder, AUTHORITY.identity("node-1", begins=-3 * HOUR, ends=-HOUR)),
    "not valid yet": lambda folder: write_identity(folder, AUTHORITY.identity("node-1", begins=HOUR, ends=2 * HOUR)),
    "of another node": lambda folder: write_identity(folder, AUTHORITY.identity("node-2")),
    "of another authority": lambda folder: write_identity(folder, OTHERS.identity("node-1", trusts=AUTHORITY)),
    "for callers only": lambda folder: write_identity(folder, AUTHORITY.identity("node-1", usages=CLIENT_ONLY)),
    "half written": lambda folder: (folder / KEY_FILE).write_bytes(AUTHORITY.identity("node-1").key_pem),
    "damaged": lambda folder: (folder / CERTIFICATE_FILE).write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n"),
    "empty": lambda folder: (folder / CA_FILE).write_bytes(b""),
    "gone": lambda folder: (folder / CERTIFICATE_FILE).unlink(),
    "of all users": lambda folder: (folder / KEY_FILE).chmod(0o666),
}


@pytest.mark.parametrize("what", BAD)
def test_what_nobody_would_believe_is_not_taken(what: str, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = AUTHORITY.identity("node-1")
    follower = held(folder, good)
    BAD[what](folder)
    with caplog.at_level(logging.WARNING):
        # A mode is looked at when the content changes, too: the file that others may write is read anew then.
        (folder / CA_FILE).touch()
        assert follower.current() == good
        assert follower.current() == good
    assert len(caplog.records) == 1, "said once, not at each handshake"
    assert "the former identity stays in use" in caplog.text
    assert good.key_pem.decode() not in caplog.text
    (folder / KEY_FILE).chmod(0o600)
    write_identity(folder, healed := AUTHORITY.identity("node-1"))
    assert follower.current() == healed


@pytest.mark.parametrize("what", BAD)
def test_a_process_does_not_start_with_it(what: str, folder: Path) -> None:
    write_identity(folder, AUTHORITY.identity("node-1"))
    BAD[what](folder)
    with pytest.raises(ClusterError) as caught:
        HeldIdentity(folder, "node-1", "abcdef")
    assert "\n" not in str(caught.value)
    if what in ("expired", "not valid yet", "of another node", "of another authority"):
        assert isinstance(caught.value, UnauthenticatedError)
        assert "cluster join" in str(caught.value)

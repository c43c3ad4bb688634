"""The secrets of a cluster: how they are kept, and what is refused as one."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from cluster.api.errors import ClusterError, UsageError
from cluster.node.kept_secrets import (
    client_secret_path,
    have_secrets,
    read_client_secret,
    remove_secrets,
    secret_path,
    write_secrets,
)
from cluster.node.secret import Secret, given_secret, read_secret, write_secret


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def test_a_file_gives_back_what_was_written_and_is_for_its_owner_only(folder: Path) -> None:
    secret = Secret.new()
    write_secret(folder / "secret", secret)
    assert read_secret(folder / "secret") == secret
    assert (folder / "secret").stat().st_mode & 0o777 == 0o600
    assert len({Secret.new().key for _ in range(10)}) == 10


def test_nothing_shows_it() -> None:
    secret = Secret.new()
    for shown in (repr(secret), str(secret), f"{secret}"):
        assert secret.text not in shown
        assert repr(secret.key)[2:20] not in shown
    assert pickle.loads(pickle.dumps(secret)) == secret


def test_what_clients_are_given_says_nothing_of_the_rest() -> None:
    secret = Secret.new()
    assert len({secret.key, secret.for_clients.key, secret.for_stages.key}) == 3
    assert secret.for_clients == Secret(secret.key).for_clients
    assert secret.for_clients != Secret.new().for_clients


@pytest.mark.parametrize("text", ["", "zz" * 32, "ab" * 31, "ab" * 33, "\N{SNOWMAN}" * 64, "ab" * 32 + "\0"])
def test_what_is_no_secret_is_refused_and_not_repeated(folder: Path, text: str) -> None:
    with pytest.raises(UsageError, match="secret: ") as raised:
        given_secret(text)
    assert not text or text not in str(raised.value)
    (folder / "secret").touch(0o600)
    (folder / "secret").write_text(text, "utf-8")
    with pytest.raises(ClusterError, match=rf"{folder}/secret: .*secret: "):
        read_secret(folder / "secret")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o606, 0o666])
def test_a_file_that_others_may_read_or_write_is_refused(folder: Path, mode: int) -> None:
    write_secret(folder / "secret", Secret.new())
    (folder / "secret").chmod(mode)
    with pytest.raises(ClusterError, match=rf"{folder}/secret: others may (read|write) it"):
        read_secret(folder / "secret")


def test_no_link_is_followed(folder: Path) -> None:
    write_secret(folder / "there", Secret.new())
    (folder / "secret").symlink_to(folder / "there")
    with pytest.raises(ClusterError, match=rf"{folder}/secret: "):
        read_secret(folder / "secret")


def test_a_path_that_was_given_must_lead_to_one(folder: Path) -> None:
    write_secret(folder / "secret", secret := Secret.new())
    assert given_secret(folder / "secret") == secret
    assert given_secret(secret.text.upper()) == secret
    with pytest.raises(UsageError, match="secret: a bytes; give its digits"):
        given_secret(secret.key)  # type: ignore[arg-type]  # the point
    with pytest.raises(UsageError, match="there is no such file"):
        given_secret(folder / "another")
    with pytest.raises(ClusterError, match="is no plain file"):
        given_secret(folder)


def test_each_cluster_has_secrets_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    assert read_client_secret() is None
    write_secrets()
    first = read_secret(secret_path())
    assert read_client_secret() == first.for_clients
    write_secrets()
    assert read_secret(secret_path()) != first
    write_secrets(other := Secret.new())
    assert read_client_secret() == other
    assert have_secrets()
    remove_secrets()
    assert not have_secrets()
    assert not secret_path().exists()
    assert not client_secret_path().exists()

"""A Ray of somebody else is used where the user asks for it, and only if no stranger can be behind it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.actors.ground.foreign import Asked, asked_for, running_ray
from cluster.actors.ray_side.start.environment import use_foreign
from cluster.api.errors import ClusterError, UnreachableError, UsageError
from tests.other_user import OTHER_UID, needs_other_user

AUTO = Asked("auto", "RAY_ADDRESS")


@pytest.fixture(autouse=True)
def tmpdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("RAY_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def listener() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def leave_note(folder: Path, address: str) -> Path:
    """As Ray does: its folder is open to everybody."""
    (folder / "ray").mkdir()
    (folder / "ray").chmod(0o777)
    note = folder / "ray" / "ray_current_cluster"
    note.write_text(address)
    note.chmod(0o644)
    return note


def test_nobody_is_asked_for_by_itself(tmpdir: Path, listener: str, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_note(tmpdir, listener)
    assert asked_for(None) is None
    for local in ("", "local"):
        monkeypatch.setenv("RAY_ADDRESS", local)
        assert asked_for(None) is None
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert asked_for(None) == AUTO
    assert asked_for("h:1") == Asked("h:1", "--address")
    assert asked_for("local") is None


def test_a_note_of_ours_is_followed_when_asked(tmpdir: Path, listener: str) -> None:
    leave_note(tmpdir, f"{listener}\n")
    assert running_ray(AUTO) == listener
    assert running_ray(Asked(listener, "--address")) == listener


@pytest.mark.parametrize(
    ("by", "says", "advice"),
    [
        ("RAY_ADDRESS", "RAY_ADDRESS=127.0.0.1:1: nothing answers;", "unset RAY_ADDRESS to use one of our own"),
        ("--address", "Ray at 127.0.0.1:1: nothing answers;", "leave --address out to use one of our own"),
    ],
)
def test_one_that_does_not_answer_says_where_the_address_is_from(by: str, says: str, advice: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        running_ray(Asked("127.0.0.1:1", by))
    assert str(caught.value).startswith(says)
    assert str(caught.value).endswith(advice)


def test_auto_without_a_note_says_so() -> None:
    with pytest.raises(UnreachableError, match=r"^RAY_ADDRESS=auto: Ray left no note in .*; .*unset RAY_ADDRESS"):
        running_ray(AUTO)


@pytest.mark.parametrize(
    "address", ["ray://127.0.0.1:10001", "head", "head:", ":6379", "h:0", "h:65536", "a b:1", "::1:6"]
)
def test_what_is_no_address_of_a_head(address: str, tmpdir: Path) -> None:
    with pytest.raises(UsageError, match="not host:port of a Ray head"):
        running_ray(Asked(address, "RAY_ADDRESS"))
    leave_note(tmpdir, address)
    with pytest.raises(UsageError, match=r"^RAY_ADDRESS=auto: not host:port of a Ray head"):
        running_ray(AUTO)


def test_control_characters_do_not_reach_the_terminal(tmpdir: Path) -> None:
    leave_note(tmpdir, "\x1b[2J:1")
    for asked in (AUTO, Asked("\x1b[2J", "RAY_ADDRESS")):
        with pytest.raises(UsageError) as caught:
            running_ray(asked)
        assert str(caught.value).isprintable()


def test_a_note_that_others_may_write_is_not_read(tmpdir: Path, listener: str) -> None:
    leave_note(tmpdir, listener).chmod(0o666)
    with pytest.raises(
        ClusterError, match=r"ray_current_cluster: others may write it .*name the address of a Ray that you"
    ):
        running_ray(AUTO)


def test_a_link_is_not_followed(tmpdir: Path, listener: str) -> None:
    note = leave_note(tmpdir, listener)
    note.rename(tmpdir / "elsewhere")
    note.symlink_to(tmpdir / "elsewhere")
    with pytest.raises(ClusterError, match="RAY_ADDRESS=auto"):
        running_ray(AUTO)


def test_a_note_that_leads_away_counts_only_where_nobody_else_may_write(tmpdir: Path) -> None:
    note = leave_note(tmpdir, "192.0.2.1:6379")
    with pytest.raises(ClusterError, match=r"others may write into .*192\.0\.2\.1 is not this machine"):
        running_ray(AUTO)
    assert note.exists()


@needs_other_user
@pytest.mark.parametrize("owned", ["", "ray", "ray/ray_current_cluster"])
def test_a_planted_note_is_not_read(owned: str, tmpdir: Path, listener: str) -> None:
    leave_note(tmpdir, listener)
    os.chown(tmpdir / owned, OTHER_UID, OTHER_UID)
    try:
        with pytest.raises(ClusterError, match=f"RAY_ADDRESS=auto: .* belongs to another user .uid {OTHER_UID}"):
            running_ray(AUTO)
    finally:
        os.chown(tmpdir / owned, 0, 0)


@contextmanager
def listener_of_another_user() -> Iterator[str]:
    script = f"""
import os, socket, sys
os.setgroups([]); os.setgid({OTHER_UID}); os.setuid({OTHER_UID})
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"127.0.0.1:{int(process.stdout.readline())}"
        process.communicate()


@needs_other_user
def test_a_note_of_ours_whose_port_another_user_took_since(tmpdir: Path) -> None:
    with listener_of_another_user() as address:
        leave_note(tmpdir, address)
        with pytest.raises(ClusterError, match=f"{address} belongs to another user .uid {OTHER_UID}"):
            running_ray(AUTO)
        assert running_ray(Asked(address, "--address")) == address  # named by the user, who may trust them


@pytest.mark.parametrize(
    ("set_before", "has_file", "mode"),
    [
        ({}, False, "disabled"),
        ({}, True, "token"),
        ({"RAY_AUTH_TOKEN_PATH": "/t"}, False, "token"),
        ({"RAY_AUTH_MODE": "disabled"}, True, "disabled"),
    ],
)
def test_ray_is_told_whether_to_show_a_token(
    set_before: dict[str, str], has_file: bool, mode: str, tmpdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmpdir))
    monkeypatch.setenv("RAY_AUTH_MODE", "")
    monkeypatch.delenv("RAY_AUTH_MODE")
    for name, value in set_before.items():
        monkeypatch.setenv(name, value)
    if has_file:
        (tmpdir / ".ray").mkdir()
        (tmpdir / ".ray" / "auth_token").write_text("t")
    use_foreign()
    assert os.environ["RAY_AUTH_MODE"] == mode

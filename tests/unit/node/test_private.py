"""Files of ours are read only where no other user can have written them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.api.errors import ClusterError
from cluster.node.disk import safe_tempdir
from cluster.node.private import check_folder, check_place, read_private, write_private
from cluster.node.run_folder import (
    MAX_RAY_FOLDER_BYTES,
    check_run_folder,
    make_run_folder,
    ray_folder,
    remove_run_folder,
    run_folder_path,
)
from tests.other_user import OTHER_UID, needs_other_user

INSTANCE = "0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "ours"
    made.mkdir(mode=0o700)
    return made


def test_what_is_written_is_read_and_nobody_else_may(folder: Path) -> None:
    path = folder / "token"
    for content in (b"first", b"second"):
        write_private(path, content)
        assert read_private(path) == content
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(folder) == ["token"]
    with pytest.raises(FileNotFoundError):
        read_private(folder / "none")


@pytest.mark.parametrize(("mode", "named"), [(0o777, "write"), (0o1777, "write"), (0o702, "write"), (0o750, "look")])
def test_a_folder_that_others_may_enter_is_refused(mode: int, named: str, folder: Path) -> None:
    write_private(folder / "token", b"x")
    folder.chmod(mode)
    with pytest.raises(ClusterError, match=rf"ours: others may {named} into it \(mode {mode:04o}\); chmod 700"):
        read_private(folder / "token")


def test_looking_may_be_allowed(folder: Path) -> None:
    write_private(folder / "token", b"x")
    folder.chmod(0o755)
    assert read_private(folder / "token", others_may_look=True) == b"x"


@pytest.mark.parametrize("mode", [0o666, 0o602])
def test_a_file_that_others_may_write_is_refused(mode: int, folder: Path) -> None:
    write_private(folder / "token", b"x")
    (folder / "token").chmod(mode)
    with pytest.raises(ClusterError, match="token: others may write it"):
        read_private(folder / "token")


def test_what_is_no_plain_file_is_refused_at_once(folder: Path) -> None:
    os.mkfifo(folder / "pipe")  # opening it would wait for a writer
    (folder / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(ClusterError, match=f"{name}: is no plain file"):
            read_private(folder / name)
    (folder / "link").symlink_to("/etc/hostname")
    with pytest.raises(OSError, match="link"):
        read_private(folder / "link")
    (folder / "large").write_bytes(b"x" * 11)
    with pytest.raises(ClusterError, match="large: larger than 10 bytes"):
        read_private(folder / "large", max_bytes=10)


def test_a_folder_on_the_way_that_others_may_write(tmp_path: Path, folder: Path) -> None:
    """Whoever may write it puts another folder in the place of ours; the sticky bit keeps them from that."""
    tmp_path.chmod(0o777)
    with pytest.raises(ClusterError, match=r"others may rename what is in it \(mode 0777\); chmod go-w"):
        check_folder(folder)
    tmp_path.chmod(0o1777)
    check_folder(folder)
    tmp_path.chmod(0o700)


def test_links_of_ours_are_followed_and_what_they_pass_is_checked(tmp_path: Path, folder: Path) -> None:
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    (open_folder / "hop").symlink_to(folder)
    (tmp_path / "link").symlink_to("./open/../open/hop")
    check_folder(tmp_path / "link")
    open_folder.chmod(0o777)
    with pytest.raises(ClusterError, match="open: others may rename"):
        check_folder(tmp_path / "link")
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(ClusterError, match="circle: too many links"):
        check_folder(tmp_path / "circle")


@needs_other_user
@pytest.mark.parametrize("planted", ["the file", "the folder", "the folder above", "a link above"])
def test_what_another_user_owns_is_refused(planted: str, tmp_path: Path) -> None:
    above = tmp_path / "above"
    folder = above / "folder"
    folder.mkdir(parents=True)
    (folder / "note").write_text("x")
    link = tmp_path / "link"
    link.symlink_to(above)
    owned = {"the file": folder / "note", "the folder": folder, "the folder above": above, "a link above": link}[
        planted
    ]
    os.chown(owned, OTHER_UID, OTHER_UID, follow_symlinks=False)
    with pytest.raises(ClusterError, match=f"{owned.name}: belongs to another user \\(uid {OTHER_UID}\\)"):
        read_private((link if owned == link else above) / "folder" / "note", others_may_look=True)


@pytest.fixture
def run_folder() -> Iterator[Path]:
    path = run_folder_path(f"{os.getpid():08x}")
    make_run_folder(path)
    yield path
    remove_run_folder(path)


def test_a_run_folder_is_of_this_user_alone_whatever_the_umask(run_folder: Path) -> None:
    assert run_folder.stat().st_mode & 0o7777 == 0o700
    check_run_folder(run_folder)
    with pytest.raises(ClusterError, match="somebody made it before us"):
        make_run_folder(run_folder)
    ray_folder(run_folder).mkdir()
    ray_folder(run_folder).chmod(0o777)  # as Ray does
    check_run_folder(run_folder)
    run_folder.chmod(0o777)
    with pytest.raises(ClusterError, match="others may write into it"):
        check_run_folder(run_folder)
    remove_run_folder(run_folder)
    with pytest.raises(ClusterError, match="No such file or directory; run cluster down"):
        check_run_folder(run_folder)
    script = "import os, sys; os.umask(0o777); from cluster.node.run_folder import *; from pathlib import Path\n"
    script += "make_run_folder(Path(sys.argv[1])); check_run_folder(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", script, str(run_folder)], check=True)


def place(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """The parent of the run folder with TMPDIR set to `folder`."""
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return run_folder_path(INSTANCE).parent


def test_a_run_folder_lies_where_sockets_can_and_nobody_interferes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    short = Path(f"/tmp/{os.getpid() % 10**8}")
    short.mkdir(mode=0o700)
    try:
        assert place(monkeypatch, short) == short
        assert safe_tempdir() == short
        short.chmod(0o777)
        assert place(monkeypatch, short) == Path("/tmp")
        assert safe_tempdir() == Path("/tmp")
        short.chmod(0o1777)
        assert place(monkeypatch, short) == short
    finally:
        short.rmdir()
    assert place(monkeypatch, tmp_path / ("ü" * 20)) == Path("/tmp")
    long = tmp_path / ("d" * 200)
    long.mkdir()
    assert place(monkeypatch, long) == Path("/tmp")
    link = Path(f"/tmp/l{os.getpid() % 10**7}")
    link.symlink_to(long)  # short, but what the kernel counts is what Ray is told, and that is resolved
    try:
        assert place(monkeypatch, link) == Path("/tmp")
    finally:
        link.unlink()
    assert len(os.fsencode(ray_folder(run_folder_path(INSTANCE)))) <= MAX_RAY_FOLDER_BYTES
    check_place(run_folder_path(INSTANCE))


def test_no_place_at_all_names_each_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.node.run_folder.MAX_RAY_FOLDER_BYTES", 10)
    with pytest.raises(ClusterError, match=r"^run folder: /\S+: \d+ bytes too long .*; set TMPDIR to a short folder"):
        run_folder_path(INSTANCE)


@needs_other_user
def test_only_ours_is_removed(tmp_path: Path) -> None:
    theirs = tmp_path / "ggml-cluster-01234567"
    theirs.mkdir()
    os.chown(theirs, OTHER_UID, OTHER_UID)
    remove_run_folder(theirs)
    assert theirs.is_dir()
    other = tmp_path / "precious"
    other.mkdir()
    remove_run_folder(other)
    assert other.is_dir()

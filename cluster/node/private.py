"""Files and folders of this user alone: whoever may write what we read could make us do what they like.

A path is safe where no other user can change what it leads to: every folder and link on the way belongs to this
user or to root, and others may write into those folders only where the sticky bit keeps them from renaming what
is not theirs.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cluster.api.errors import ClusterError

MAX_FILE_BYTES = 1 << 20  # state, secrets, addresses: all are far smaller
MAX_LINKS = 40  # as in Linux's own path lookup
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # no link, and no wait for a pipe's writer
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def check_folder(folder: Path, *, others_may_look: bool = False) -> None:
    """Nobody else can put anything into `folder` or in its place, nor look into it, unless `others_may_look`.

    ClusterError that says what is wrong; OSError where it cannot be looked at.
    """
    *way, last = _passed(folder)
    for path in way:
        _check_on_the_way(path)
    status = last.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise _unsafe(last, "is no folder", "move it away")
    check_owner(last, status)
    if others_may_write(status):
        raise _unsafe(last, f"others may write into it (mode {status.st_mode & 0o7777:04o})", f"chmod 700 {last}")
    if not others_may_look and status.st_mode & _OTHERS:
        raise _unsafe(last, f"others may look into it (mode {status.st_mode & 0o7777:04o})", f"chmod 700 {last}")


def check_place(path: Path) -> None:
    """Nobody else can put anything in the place of `path`, which need not be there. ClusterError; OSError."""
    for passed in _passed(path.parent):
        _check_on_the_way(passed)


def read_private(path: Path, *, others_may_look: bool = False, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """The content of a file of ours in a folder of ours.

    FileNotFoundError where there is none; ClusterError where another user owns or may write it, or its folder, and
    where it is larger than `max_bytes`; OSError as reading raises it.
    """
    check_folder(path.parent, others_may_look=others_may_look)
    return read_open(path, os.open(path, READ_FLAGS), max_bytes)


def read_unshared(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """The same of a file that holds a secret, in a folder that others may look into: they must not read the file.

    Errors as for `read_private`.
    """
    content = read_private(path, others_may_look=True, max_bytes=max_bytes)
    mode = path.lstat().st_mode
    if mode & _OTHERS:
        raise ClusterError(f"{path}: others may read it (mode {mode & 0o7777:04o}); chmod 600 {path}")
    return content


def read_open(path: Path, descriptor: int, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """The content of `path`, just opened with `READ_FLAGS`; closes it. Errors as for `read_private`."""
    try:
        check_file(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise _unsafe(path, f"larger than {max_bytes:,} bytes", "delete it")
    return content


def check_file(path: Path, status: os.stat_result) -> None:
    """ClusterError unless `status`, that of the open file `path`, is that of a plain file which only we may write."""
    if not stat.S_ISREG(status.st_mode):
        raise _unsafe(path, "is no plain file", "delete it")
    check_owner(path, status)
    if others_may_write(status):
        raise _unsafe(path, f"others may write it (mode {status.st_mode & 0o7777:04o})", "delete it")


def write_private(path: Path, content: bytes) -> None:
    """Replace `path` in one step by a file that only this user may read; its folder is checked first.

    ClusterError as for `read_private`; OSError as writing raises it.
    """
    check_folder(path.parent, others_may_look=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # 0600, and never through a link
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _passed(folder: Path) -> Iterator[Path]:
    """Every folder and link that the lookup of `folder` goes through, from / to the folder itself. OSError."""
    at, todo = Path("/"), list(Path(os.path.abspath(folder)).parts[1:])
    num_links = 0
    yield at
    while todo:
        name = todo.pop(0)
        if name == "..":
            at = at.parent
            continue
        at /= name
        yield at
        if at.is_symlink():
            num_links += 1
            if num_links > MAX_LINKS:
                raise _unsafe(folder, "too many links", "name the folder itself")
            target = at.readlink()
            todo = [*(part for part in target.parts if part != "/"), *todo]
            at = Path("/") if target.is_absolute() else at.parent


def _check_on_the_way(path: Path) -> None:
    """One folder or link on the way to a folder of ours."""
    status = path.lstat()
    if status.st_uid not in (0, os.geteuid()) and not _is_unmapped(status.st_uid):
        raise _unsafe(path, f"belongs to another user (uid {status.st_uid})", "use a folder of your own")
    is_open = stat.S_ISDIR(status.st_mode) and others_may_write(status)
    if is_open and not status.st_mode & stat.S_ISVTX:
        mode = f"{status.st_mode & 0o7777:04o}"
        raise _unsafe(
            path, f"others may rename what is in it (mode {mode})", f"chmod go-w {path}, or use another folder"
        )


def check_owner(path: Path, status: os.stat_result) -> None:
    """ClusterError unless `path`, of this `status`, belongs to this user."""
    if status.st_uid != os.geteuid():
        raise _unsafe(path, f"belongs to another user (uid {status.st_uid})", "it was not made by us: move it away")


def others_may_write(status: os.stat_result) -> bool:
    """Whether a group of several users, or all of them, have the right to write."""
    if status.st_mode & stat.S_IWOTH:
        return True
    return bool(status.st_mode & stat.S_IWGRP) and not _is_own_group(status.st_gid)


def _is_own_group(gid: int) -> bool:
    """Whether this user alone is in the group, as where each user has a group of the same name and umask 002."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return user.pw_gid == gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _is_unmapped(uid: int) -> bool:
    """Whether `uid` stands for those that our user namespace has no number for, the owner of / in many sandboxes."""
    try:
        nobody = int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii"))
        mapped = [line.split() for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()]
    except (OSError, ValueError):
        return False
    return uid == nobody and not any(int(first) <= uid < int(first) + int(count) for first, _, count in mapped)


def _unsafe(path: Path, why: str, advice: str) -> ClusterError:
    return ClusterError(f"{path}: {why}; {advice}")

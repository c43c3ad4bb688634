"""Every error of the file system names the path and what to do, also where Python names none."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.api.errors import CapacityError, UsageError
from cluster.node.disk import named_errors, temporary_folder
from tests.fakes.tiny_models import TinyModel, write_tiny

CLI = [sys.executable, "-m", "cluster.cli"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    for name in ("cache", "state", "tmp"):
        (tmp_path / name).mkdir()
    own = {"XDG_CACHE_HOME": "cache", "XDG_STATE_HOME": "state", "TMPDIR": "tmp"}
    return os.environ | {key: str(tmp_path / name) for key, name in own.items()}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "model.gguf", TinyModel())


def test_a_full_disk_is_a_lack_of_room_and_all_else_of_access() -> None:
    for number in (errno.ENOSPC, errno.EDQUOT):
        with (
            pytest.raises(CapacityError, match=r"^/where: .*; make room there, or set X$"),
            named_errors("/where", "set X"),
        ):
            raise OSError(number, os.strerror(number))
    why = r"^/named: Permission denied; make it writable, or set X$"
    with pytest.raises(UsageError, match=why), named_errors("/where", "set X"):
        raise PermissionError(errno.EACCES, "Permission denied", "/named")


def test_a_temporary_folder_is_named_by_its_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    why = rf"^{tmp_path}: No space left on device; .* set TMPDIR"
    with pytest.raises(CapacityError, match=why), temporary_folder("test-") as folder:
        assert folder.parent == tmp_path
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_output_that_cannot_be_written_is_named(model: Path, environment: dict[str, str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*CLI, "cuts", str(model)], env=environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120
        )
    assert (done.returncode, done.stderr) == (
        1,
        "cluster: standard output: No space left on device; make room or access there\n",
    )


def test_a_temporary_file_that_grows_too_large_is_named(
    model: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = subprocess.run(
        [*CLI, "plan", str(model), "--stages", "2", "-c", "64"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=limit,
    )
    assert done.returncode == 3
    assert done.stderr == (
        f"cluster: {tmp_path}/tmp: File too large; make room there, or set TMPDIR to a folder on another disk\n"
    )
    assert list((tmp_path / "tmp").iterdir()) == []

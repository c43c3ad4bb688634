"""Logs are read in bounded pieces, from the end too, and nothing but logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.api.errors import UsageError
from cluster.node.ray_logs import MAX_READ_BYTES, LogFile, RayLogs


@pytest.fixture
def logs(tmp_path: Path) -> RayLogs:
    (tmp_path / "worker-aa-01000000-77.out").write_bytes(b"out\n")
    (tmp_path / "worker-aa-01000000-77.err").write_bytes(b"first\nsecond\n")
    (tmp_path / "worker-bb-01000000-7.err").write_bytes(b"")
    (tmp_path / "raylet.out").write_bytes(b"secret")
    return RayLogs(tmp_path)


def test_those_of_one_process_errors_first(logs: RayLogs) -> None:
    assert logs.of(77) == (LogFile("worker-aa-01000000-77.err", 13), LogFile("worker-aa-01000000-77.out", 4))
    assert logs.of(7) == (LogFile("worker-bb-01000000-7.err", 0),)
    assert logs.of(8) == ()


def test_pieces(logs: RayLogs) -> None:
    name = "worker-aa-01000000-77.err"
    assert logs.read(name, 0) == (0, b"first\nsecond\n")
    assert logs.read(name, 6) == (6, b"second\n")
    assert logs.read(name, -7) == (6, b"second\n")
    assert logs.read(name, -99) == (0, b"first\nsecond\n")
    assert logs.read(name, 99) == (13, b"")
    assert logs.read(name, 0, 5) == (0, b"first")
    (logs.folder / name).write_bytes(b"x" * (MAX_READ_BYTES + 1))
    assert len(logs.read(name, 0, 1 << 40)[1]) == MAX_READ_BYTES


@pytest.mark.parametrize(
    "name", ["raylet.out", "../worker-x", "/etc/passwd", "", "worker-none", "worker-\0", "worker-" + "x" * 300]
)
def test_no_other_file_is_read(logs: RayLogs, name: str) -> None:
    with pytest.raises(UsageError, match=r"^log: "):
        logs.read(name, 0)

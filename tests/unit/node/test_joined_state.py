"""What a node remembers of its processes is found again, and not believed where it is damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster.api.errors import ClusterError
from cluster.node.joined_state import FILE, JoinedState, read_joined, remove_joined, write_joined
from cluster.node.processes import start_ticks


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def test_it_is_read_as_it_was_written_and_forgotten(home: Path) -> None:
    assert read_joined(home) is None
    here = JoinedState(
        os.getpid(), start_ticks(os.getpid()) or 0, "ab", "/tmp/x", "10.0.0.1:8471", "n", ((7, 9),), "two"
    )
    write_joined(home, here)
    found = read_joined(home)
    assert found == here
    assert found is not None and found.is_attended
    assert (home / FILE).stat().st_mode & 0o777 == 0o600
    remove_joined(home)
    remove_joined(home)
    assert read_joined(home) is None


def test_a_process_of_the_same_number_is_not_the_one_that_attended(home: Path) -> None:
    assert not JoinedState(os.getpid(), 1).is_attended
    assert not JoinedState(2**22 + 1, 1).is_attended


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"pid": "1", "start_ticks": 1}',
        '{"pid": 1, "start_ticks": 1, "members": [1]}',
        "[" * 9999,
    ],
)
def test_what_is_damaged_is_named_with_what_to_do(home: Path, content: str) -> None:
    (home / FILE).write_text(content)
    with pytest.raises(ClusterError, match=r"joined.json: damaged .*; delete it"):
        read_joined(home)

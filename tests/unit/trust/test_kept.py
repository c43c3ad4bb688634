"""Authority and identity in files that only their owner may read."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cluster.api.errors import ClusterError
from cluster.trust.identity import read_identity, write_identity
from cluster.trust.kept_authority import open_authority, read_authority

NOW_S = 1.8e9


def test_an_authority_is_made_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_authority(tmp_path)
    made = open_authority(tmp_path, NOW_S)
    assert open_authority(tmp_path, NOW_S + 1) == read_authority(tmp_path) == made
    assert stat.S_IMODE((tmp_path / "authority" / "ca.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "authority").stat().st_mode) == 0o700


def test_an_authority_that_others_may_write_is_refused(tmp_path: Path) -> None:
    open_authority(tmp_path, NOW_S)
    (tmp_path / "authority" / "ca.key").chmod(0o666)
    with pytest.raises(ClusterError, match="others may write"):
        read_authority(tmp_path)


def test_a_damaged_authority_is_named_and_not_replaced(tmp_path: Path) -> None:
    open_authority(tmp_path, NOW_S)
    (tmp_path / "authority" / "ca.crt").write_bytes(b"x")
    with pytest.raises(ClusterError, match="authority"):
        open_authority(tmp_path, NOW_S)


def test_an_identity_is_read_back(tmp_path: Path) -> None:
    made = open_authority(tmp_path, NOW_S).head_identity("node-1", ["10.0.0.1"], NOW_S)
    write_identity(tmp_path / "identity", made)
    assert read_identity(tmp_path / "identity", made.name, made.cluster_id) == made
    assert b"PRIVATE" not in repr(made).encode()

"""What the processes of our Ray, and those that speak to it, find in their environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.actors.head import TOKEN, use_head
from cluster.api.errors import ClusterError
from cluster.node.private import write_private
from cluster.node.run_folder import make_run_folder, remove_run_folder, run_folder_path

LEFT_OVER = (
    "RAY_ADDRESS",
    "RAY_AUTH_TOKEN",
    "RAY_AUTH_MODE",
    "RAY_JOB_ID",
    "RAY_NAMESPACE",
    "RAY_TMPDIR",
    "RAY_USE_TLS",
)


@pytest.fixture
def run_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in list(os.environ):
        if name.startswith("RAY_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    path = run_folder_path(f"{os.getpid():08x}")
    make_run_folder(path)
    write_private(path / TOKEN, b"secret")
    yield path
    remove_run_folder(path)


def test_what_leads_to_another_ray_is_left_out(run_folder: Path) -> None:
    os.environ |= dict.fromkeys(LEFT_OVER, "other") | {"RAY_memory_usage_threshold": "0.9", "XRAY_ADDRESS": "x"}
    use_head(run_folder)
    found = {name: value for name, value in os.environ.items() if "RAY_" in name}
    assert found == {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(run_folder / TOKEN),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_memory_usage_threshold": "0.9",
        "XRAY_ADDRESS": "x",
    }


def test_a_token_that_somebody_else_may_have_written_is_not_shown(run_folder: Path) -> None:
    (run_folder / TOKEN).chmod(0o666)
    with pytest.raises(ClusterError, match="token: others may write it"):
        use_head(run_folder)
    (run_folder / TOKEN).unlink()
    with pytest.raises(ClusterError, match="token: No such file or directory; run cluster down, then up again"):
        use_head(run_folder)
    run_folder.chmod(0o755)
    with pytest.raises(ClusterError, match="others may look into it"):
        use_head(run_folder)
    assert not [name for name in os.environ if name.startswith("RAY_")]

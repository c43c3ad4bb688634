"""What the processes of our Ray, and those that speak to it, find in their environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.actors.ray_side.start.environment import HOME, TOKEN, node_environment, use_ray
from cluster.api.errors import ClusterError
from cluster.node.home import Home, NodeRecord
from cluster.node.private import write_private
from cluster.node.processes import MARK
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
    use_ray(run_folder)
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
        use_ray(run_folder)
    (run_folder / TOKEN).unlink()
    with pytest.raises(ClusterError, match="token: No such file or directory; run cluster down, then up again"):
        use_ray(run_folder)
    run_folder.chmod(0o755)
    with pytest.raises(ClusterError, match="others may look into it"):
        use_ray(run_folder)
    assert not [name for name in os.environ if name.startswith("RAY_")]


def test_a_node_among_several_shows_its_certificate_unless_the_cluster_is_insecure(run_folder: Path) -> None:
    record = NodeRecord("two", "abcdefghij", "10.0.0.2", 20000, True, "10.0.0.1")
    home = Home(run_folder, record)
    told = node_environment("marked", run_folder, home)
    assert told[HOME] == str(run_folder)
    assert told[MARK] == "marked"
    assert told["RAY_USE_TLS"] == "1"
    assert told["RAY_TLS_SERVER_KEY"] == str(home.identity_folder / "node.key")
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in told
    insecure = node_environment("marked", run_folder, Home(run_folder, replace(record, is_secure=False)))
    assert not [name for name in insecure if "TLS" in name]
    alone = node_environment("marked", run_folder)
    assert alone["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert not [name for name in alone if "TLS" in name or "health" in name]

"""The file for `ray up`, as Ray reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.deploy.files import DEPLOY
from tests.deploy.tools import run, tool


@pytest.fixture(scope="module")
def prepared() -> dict[str, Any]:
    """The file with Ray's defaults filled in."""
    yaml = pytest.importorskip("yaml")
    util = pytest.importorskip("ray.autoscaler._private.util")
    given = yaml.safe_load((DEPLOY / "ray" / "cluster.yaml").read_text(encoding="utf-8"))
    made: dict[str, Any] = util.prepare_config(given)
    util.validate_config(made)
    return made


def test_ray_takes_it_and_keeps_all_nodes(prepared: dict[str, Any]) -> None:
    (kind,) = [name for name in prepared["available_node_types"] if name != prepared["head_node_type"]] or [
        prepared["head_node_type"]
    ]
    assert prepared["available_node_types"][kind]["min_workers"] == len(prepared["provider"]["worker_ips"])


def test_nothing_ends_the_ray_of_others(prepared: dict[str, Any]) -> None:
    commands = [*prepared["head_start_ray_commands"], *prepared["worker_start_ray_commands"]]
    assert commands
    assert not [command for command in commands if "ray stop" in command]


def test_certificates_name_the_address_that_ray_dials(tmp_path: Path) -> None:
    openssl, script = tool("openssl"), DEPLOY / "ray" / "certificates"
    run(tool("sh"), str(script), str(tmp_path / "made"), "10.0.0.1", "10.0.0.2")
    run(tool("sh"), str(script), str(tmp_path / "made"), "10.0.0.3")  # a machine more, under the same authority
    for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
        folder = tmp_path / "made" / address
        run(openssl, "verify", "-CAfile", str(tmp_path / "made" / "ca.crt"), str(folder / "node.crt"))
        shown = run(openssl, "x509", "-in", str(folder / "node.crt"), "-noout", "-ext", "subjectAltName")
        assert f"IP Address:{address}, IP Address:127.0.0.1" in shown
        assert (folder / "node.key").stat().st_mode & 0o077 == 0
        assert run(tool("sh"), "-c", f". {folder}/ray.env && echo $RAY_USE_TLS $RAY_AUTH_MODE") == "1 token\n"

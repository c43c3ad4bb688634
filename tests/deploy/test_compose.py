"""compose: that it says what it means after merging and substituting, and that what watches it is wired."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.files import DEPLOY
from tests.deploy.tools import run, tool

COMPOSE = DEPLOY / "compose"
GIVEN = {
    "MODELS": "/srv/models",
    "MODEL": "m.gguf",
    "JOIN": "/srv/join",
    "API_KEY": "/srv/key",
    "GRAFANA_PASSWORD": "/srv/password",
}
# As head and nodes export them at their metrics port, in the image; the last one is Prometheus' own.
METRICS = {
    "ray_component_cpu_percentage",
    "ray_component_rss_bytes",
    "ray_gcs_actors_count",
    "ray_node_cpu_utilization",
    "ray_node_disk_free",
    "ray_node_mem_total",
    "ray_node_mem_used",
    "ray_node_network_receive_speed",
    "ray_node_network_send_speed",
    'up{job="ray"}',
}


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """compose.yaml as podman-compose understands it."""
    yaml = pytest.importorskip("yaml")
    program = tool("podman-compose")
    # It asks for the version of podman, whatever it is told to do; its `config` needs nothing else of it.
    folder = tmp_path_factory.mktemp("bin")
    podman = folder / "podman"
    podman.write_text("#!/bin/sh\necho podman version 5.0.0\n")
    podman.chmod(0o755)
    command = (program, "--podman-path", str(podman), "-f", str(COMPOSE / "compose.yaml"), "config")
    loaded: dict[str, Any] = yaml.safe_load(run(*command, **GIVEN))
    return loaded


@pytest.mark.deploy
def test_head_and_nodes_are_alike_and_have_no_rights(merged: dict[str, Any]) -> None:
    for name in ("head", "node1", "node2"):
        service = merged["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["hostname"] == name
        assert f"{name}:/data" in service["volumes"]


@pytest.mark.deploy
def test_what_was_given_arrives(merged: dict[str, Any]) -> None:
    head = merged["services"]["head"]
    assert "/models/m.gguf" in str(head["command"])
    assert {"type": "bind", "source": "/srv/models", "target": "/models", "read_only": True} in head["volumes"]
    assert merged["secrets"]["join"]["file"] == "/srv/join"


@pytest.mark.deploy
def test_every_file_that_is_mounted_is_there(merged: dict[str, Any]) -> None:
    mounted = [
        volume.split(":")[0] for name in ("prometheus", "grafana") for volume in merged["services"][name]["volumes"]
    ]
    files = [Path(path).name for path in mounted if "/" in path]
    assert len(files) == 6
    for name in files:
        assert list(COMPOSE.rglob(name))


@pytest.mark.deploy
def test_the_dashboard_is_found_by_its_provider() -> None:
    yaml = pytest.importorskip("yaml")
    provider = yaml.safe_load((COMPOSE / "grafana" / "dashboards.yaml").read_text())["providers"][0]
    source = yaml.safe_load((COMPOSE / "grafana" / "datasource.yaml").read_text())["datasources"][0]
    assert f":{provider['options']['path']}/ray.json:ro" in (COMPOSE / "compose.yaml").read_text()
    dashboard = json.loads((COMPOSE / "grafana" / "ray.json").read_text())
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["uid"]}


@pytest.mark.deploy
def test_prometheus_shows_the_key_that_the_head_asks_for(merged: dict[str, Any]) -> None:
    yaml = pytest.importorskip("yaml")
    config = yaml.safe_load((COMPOSE / "prometheus.yaml").read_text())
    own = next(job for job in config["scrape_configs"] if job["job_name"] == "ggml-cluster")
    file = own["authorization"]["credentials_file"]
    head = merged["services"]["head"]
    assert head["command"][-4:] == ["--http", "0.0.0.0:8000", "--api-key", f"@{file}"]
    assert own["static_configs"] == [{"targets": ["head:8000"]}]
    for name in ("head", "prometheus"):
        assert file.rpartition("/")[2] in str(merged["services"][name]["secrets"])
    assert config["rule_files"] == ["alerts.yaml"]


def test_the_dashboard_shows_what_ray_exports() -> None:
    dashboard = (COMPOSE / "grafana" / "ray.json").read_text(encoding="utf-8")
    asked = [target["expr"] for panel in json.loads(dashboard)["panels"] for target in panel["targets"]]
    names = {name for expression in asked for name in METRICS if name in expression}
    assert names == METRICS
    assert all(any(name in expression for name in METRICS) for expression in asked)

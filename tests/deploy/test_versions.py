"""What several files of deploy/ have to agree on, for nobody else compares them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from cluster.actors.ray_side.start.arguments import shared_arguments
from cluster.node.home import NodeRecord
from cluster.node.port_plan import PortPlan
from cluster.node.run_folder import MAX_RAY_FOLDER_BYTES, PREFIX, ray_folder
from tests.deploy.files import CHART, DEPLOY, REPOSITORY

RAY = re.compile(r"(?:ray\[default\]==|rayVersion: \"|Ray )(\d+\.\d+\.\d+)")
RECORD = NodeRecord("name", "cluster", "10.0.0.1", PortPlan().first, True, "10.0.0.1")


def text(path: str) -> str:
    return (DEPLOY / path).read_text(encoding="utf-8")


def test_one_version_of_ray() -> None:
    found = {
        file: RAY.findall(text(file)) for file in ("docker/compile", "kuberay/raycluster.yaml", "ray/cluster.yaml")
    }
    assert all(found.values())
    assert len({version for versions in found.values() for version in versions}) == 1


def test_the_chart_is_of_our_version() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chart = (CHART / "Chart.yaml").read_text(encoding="utf-8")
    assert f'appVersion: "{project["version"]}"' in chart


def test_ports_are_those_of_the_plan() -> None:
    plan = PortPlan()
    for file in ("compose/compose.yaml", "helm/ggml-cluster/templates/nodes.yaml"):
        assert f":{plan.join} " in text(file)
    assert f"port: {plan.join}" in text("helm/ggml-cluster/templates/head.yaml")
    assert f"containerPort: {plan.node}" in text("helm/ggml-cluster/templates/nodes.yaml")
    for file in ("helm/ggml-cluster/templates/head.yaml", "kuberay/service.yaml"):
        assert f"port: {plan.api}, targetPort: {plan.api}" in text(file)
    for file in ("helm/ggml-cluster/templates/network-policy.yaml", "kuberay/network-policy.yaml"):
        assert f"port: {plan.api}" in text(file)
    assert f"EXPOSE {plan.join} {plan.api}" in text("docker/Dockerfile")


def test_one_port_for_the_metrics_of_ray() -> None:
    (metrics,) = [part.partition("=")[2] for part in shared_arguments(RECORD, 1) if part.startswith("--metrics-export")]
    assert f'targets: ["head:{metrics}", "node1:{metrics}", "node2:{metrics}"]' in text("compose/prometheus.yaml")
    assert f'metrics-export-port: "{metrics}"' in text("kuberay/raycluster.yaml")
    assert text("ray/cluster.yaml").count(f"--metrics-export-port={metrics}") == 2
    assert f"port: {metrics}" in text("helm/ggml-cluster/templates/network-policy.yaml")


def test_temporary_folders_of_pods_are_short_enough_for_rays_sockets() -> None:
    files = ("helm/ggml-cluster/templates/_parts.tpl", "kuberay/raycluster.yaml")
    found = [folder for file in files for folder in re.findall(r"name: TMPDIR, value: (\S+)}", text(file))]
    assert len(found) == len(files)
    for folder in found:
        assert len(str(ray_folder(Path(folder) / f"{PREFIX}12345678"))) <= MAX_RAY_FOLDER_BYTES

"""The chart and the manifests: what Kubernetes' own schemas, KubeRay's and helm say, and who may do what."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.files import CHART, DEPLOY
from tests.deploy.tools import helm, run, tool

SCHEMA = Path(__file__).with_name("data") / "raycluster-v1.schema.json.gz"
KUBERAY = DEPLOY / "kuberay"
GPUS = "nvidia.com/gpu"
VARIANTS = {
    "default": [],
    "gpus": ["--set", r"node.resources.limits.nvidia\.com/gpu=1", "--set", "image.tag=cuda"],
    "alone": ["--set", "nodes=0"],
    "hub": ["--set", "models.claim=", "--set", "model=hf:org/repo:Q4_K_M", "--set", "networkPolicy.allowHttps=true"],
    "plain": [
        "--set",
        "networkPolicy.enabled=false",
        "--set",
        "storageClass=fast",
        "--set-string",
        "flags={--ctx-size,8192}",
    ],
    "no http": ["--set", "http.enabled=false"],
    "own key": ["--set", "http.keySecret=mine"],
}
pytestmark = pytest.mark.deploy


@pytest.fixture(scope="module")
def helm_program(tmp_path_factory: pytest.TempPathFactory) -> str:
    return helm(tmp_path_factory.mktemp("helm"))


def loaded(text: str) -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    return [document for document in yaml.safe_load_all(text) if document]


def pods(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The specifications of all pods."""
    found = [document["spec"]["template"]["spec"] for document in documents if document["kind"] == "StatefulSet"]
    for document in documents:
        if document["kind"] == "RayCluster":
            groups = [document["spec"]["headGroupSpec"], *document["spec"]["workerGroupSpecs"]]
            found += [group["template"]["spec"] for group in groups]
    return found


def check_rights(documents: list[dict[str, Any]]) -> None:
    for pod in pods(documents):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        # The group of the volume is the user's own: a folder that another group may write is refused.
        assert {pod["securityContext"][name] for name in ("runAsUser", "runAsGroup", "fsGroup")} == {10001}
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= set(container["resources"])
            assert {"name": "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "value": "0"} in container["env"]


@pytest.mark.parametrize("flags", VARIANTS.values(), ids=VARIANTS)
def test_the_chart_is_valid(flags: list[str], helm_program: str, tmp_path: Path) -> None:
    run(helm_program, "lint", "--strict", str(CHART), *flags)
    made = run(helm_program, "template", "release", str(CHART), *flags)
    (tmp_path / "made.yaml").write_text(made)
    run(tool("kubernetes-validate"), "--strict", str(tmp_path / "made.yaml"))
    check_rights(loaded(made))


@pytest.mark.parametrize("flag", ["nodes=-1", "nodes=many", "wait=soon", "nodse=2", "image.tag="])
def test_values_that_make_no_sense_are_refused(flag: str, helm_program: str) -> None:
    with pytest.raises(AssertionError, match="values don't meet the specifications"):
        run(helm_program, "template", "release", str(CHART), "--set", flag)


def test_clients_reach_the_api_and_nothing_else(helm_program: str) -> None:
    from_chart = loaded(run(helm_program, "template", "release", str(CHART)))
    from_kuberay = loaded((KUBERAY / "network-policy.yaml").read_text())
    without_http = loaded(run(helm_program, "template", "release", str(CHART), "--set", "http.enabled=false"))
    for documents, ports in ((from_chart, [8470, 8000]), (without_http, [8470]), (from_kuberay, [8470])):
        for document in (found for found in documents if found["kind"] == "NetworkPolicy"):
            inside, clients = document["spec"]["ingress"]
            assert inside["from"] == [{"podSelector": document["spec"]["podSelector"]}]
            assert clients["ports"] == [{"protocol": "TCP", "port": port} for port in ports]
            assert set(document["spec"]["policyTypes"]) == {"Ingress", "Egress"}


def test_http_asks_for_a_key_that_the_chart_makes(helm_program: str) -> None:
    documents = loaded(run(helm_program, "template", "release", str(CHART)))
    secrets = {found["metadata"]["name"]: found["data"] for found in documents if found["kind"] == "Secret"}
    (head,) = (pod for pod in pods(documents) if pod["containers"][0]["name"] == "head")
    command = " ".join(head["containers"][0]["args"])
    assert "--http 0.0.0.0:8000 --api-key @/run/http/key" in command
    (volume,) = (found for found in head["volumes"] if found["name"] == "http-key")
    assert len(secrets[volume["secret"]["secretName"]]["key"]) > 40
    own = loaded(run(helm_program, "template", "release", str(CHART), "--set", "http.keySecret=mine"))
    assert not [found for found in own if found["kind"] == "Secret"]


def test_nodes_find_a_head_that_is_not_ready(helm_program: str) -> None:
    documents = loaded(run(helm_program, "template", "release", str(CHART)))
    services = {
        document["metadata"]["name"]: document["spec"] for document in documents if document["kind"] == "Service"
    }
    assert services["release-head"]["publishNotReadyAddresses"] is True
    assert "publishNotReadyAddresses" not in services["release-api"]


@pytest.mark.parametrize("name", ["service.yaml", "models.yaml", "network-policy.yaml"])
def test_manifests_beside_the_raycluster_are_valid(name: str) -> None:
    run(tool("kubernetes-validate"), "--strict", str(KUBERAY / name))


def test_the_raycluster_is_valid_and_has_no_more_rights() -> None:
    documents = loaded((KUBERAY / "raycluster.yaml").read_text())
    assert errors(documents[0]) == []
    check_rights(documents)


def test_the_schema_finds_what_is_wrong() -> None:
    (sound,) = loaded((KUBERAY / "raycluster.yaml").read_text())
    for path, value in (("authOptions.mode", "secret"), ("tlsOptions.enable", True), ("workerGroupSpecs", {})):
        broken = copy.deepcopy(sound)
        *way, last = path.split(".")
        at = broken["spec"]
        for name in way:
            at = at[name]
        at[last] = value
        assert errors(broken), path


def errors(document: dict[str, Any]) -> list[str]:
    """What KubeRay's schema has against a RayCluster; fields that it does not know are errors, too."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = closed(json.loads(gzip.decompress(SCHEMA.read_bytes())))
    return [f"{error.json_path}: {error.message}" for error in jsonschema.Draft7Validator(schema).iter_errors(document)]


def closed(schema: Any) -> Any:
    """The same schema, in which objects have no other fields than those that it names."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(part) for name, part in schema.items()}
    if isinstance(made.get("properties"), dict) and "type" in made:
        is_open = made.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in made
        made.setdefault("additionalProperties", bool(is_open))
    return made

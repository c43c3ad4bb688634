"""The walls between rooms are lists of what is allowed: what nobody has named cannot be imported."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
OURS = ["cluster", "ggml", "worker_native", "protos"]
# What any file may import: it computes, and knows no network, process or file of its own.
EVERYWHERE = {"numpy"}
# `python -m protos.generate` alone, and a comparison of version numbers.
ALONE = {
    "grpc_tools": "protos.generate",
    "packaging": "cluster.doctor.versions",
    "tokenizers": "ggml.tokenizers.json_file",
}


@pytest.fixture(scope="module")
def contracts() -> list[dict[str, object]]:
    found: list[dict[str, object]] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    return found


def test_every_package_from_outside_has_a_list_of_who_may_import_it(contracts: list[dict[str, object]]) -> None:
    grimp = pytest.importorskip("grimp")
    graph = grimp.build_graph(*OURS, include_external_packages=True)
    protected = {name for contract in contracts for name in _names(contract.get("protected_modules"))}
    outside = {name for name in graph.modules if graph.is_module_squashed(name)} - sys.stdlib_module_names
    assert "ray" in outside
    assert outside - protected - EVERYWHERE == set(ALONE)
    for name, importer in ALONE.items():
        assert graph.find_modules_that_directly_import(name) == {importer}


def test_every_folder_of_cluster_and_the_wire_is_in_a_list_that_a_new_one_would_be_missing_from(
    contracts: list[dict[str, object]],
) -> None:
    exhaustive = [
        name for contract in contracts if contract.get("exhaustive") for name in _names(contract["containers"])
    ]
    assert {"cluster", "cluster.wire"} <= set(exhaustive)


def _names(found: object) -> list[str]:
    assert found is None or isinstance(found, list)
    return [str(name) for name in found or ()]

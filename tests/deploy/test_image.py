"""The image: what hadolint says of its Dockerfile, and that what its build needs is in the context."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.deploy.files import DEPLOY, REPOSITORY
from tests.deploy.tools import run, tool

DOCKER = DEPLOY / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").split("\n")
LET_IN = {line[1:] for line in IGNORED if line.startswith("!")}


@pytest.mark.deploy
def test_hadolint_finds_nothing() -> None:
    run(tool("hadolint"), "--failure-threshold", "style", str(DOCKER / "Dockerfile"))


def test_the_context_has_all_that_a_wheel_is_built_from() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {*project["tool"]["scikit-build"]["wheel"]["packages"], *project["project"]["license-files"]}
    assert needed | {"pyproject.toml", project["project"]["readme"], "deploy/docker"} <= LET_IN


def test_what_the_stages_copy_is_there_and_in_the_context() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    paths = {path for line in copied for path in line.split()} - {"."}
    assert paths
    for path in paths:
        assert (REPOSITORY / path).is_file()
        assert any(path == name or path.startswith(f"{name}/") for name in LET_IN), path


def test_both_targets_end_alike() -> None:
    stages = re.split(r"^FROM .* AS ", DOCKERFILE, flags=re.MULTILINE)
    last = {stage.split("\n", 1)[0]: stage.split("\n", 1)[1] for stage in stages[1:]}
    plain = {name: re.sub(r"build-\w+|^#.*\n", "", last[name], flags=re.MULTILINE).strip() for name in ("cpu", "cuda")}
    assert plain["cpu"] == plain["cuda"]
    assert "USER 10001:10001" in plain["cpu"]


def test_scripts_are_in_sh() -> None:
    for script in (path for path in Path(DOCKER).iterdir() if path.name != "Dockerfile"):
        assert script.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
        run(tool("sh"), "-n", str(script))

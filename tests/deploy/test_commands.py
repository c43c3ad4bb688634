"""Whatever deploy/ and its page have the `cluster` command do, it can do: every verb and every flag is one of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.cli.command import build_parser, verb_parsers
from cluster.cli.pasted import prepared
from tests.deploy.files import DEPLOY, REPOSITORY, commands, written_files

WRITTEN = [(path, words) for path in written_files() for words in commands(path) if words != ["--help"]]


def shown(value: object) -> str | None:
    if isinstance(value, Path):
        return str(value.relative_to(REPOSITORY))
    return " ".join(value) if isinstance(value, list) else None


@pytest.mark.parametrize(("path", "words"), WRITTEN, ids=shown)
def test_every_command_is_one_that_the_parser_knows(path: Path, words: list[str]) -> None:
    parser = build_parser()
    verbs = verb_parsers(parser)
    parser.parse_args(prepared(words, verbs))


@pytest.mark.parametrize(
    "file",
    [
        "docker/Dockerfile",
        "docker/join-or-return",
        "compose/compose.yaml",
        "helm/ggml-cluster/templates/head.yaml",
        "slurm/ggml-cluster.sbatch",
        "systemd/ggml-cluster-head.service",
        "systemd/ggml-cluster-node.service",
    ],
)
def test_commands_are_found_where_they_are(file: str) -> None:
    assert commands(DEPLOY / file)

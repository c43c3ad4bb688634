"""`cluster join` says what it lacks, before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.cli.command import main
from cluster.membership.joining import join
from tests.fakes.head import running_head


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = tmp_path / "ggml-cluster"
    made.mkdir(mode=0o700)
    return made


@pytest.mark.parametrize("given", [[], ["10.0.0.1:8469"]])
def test_a_machine_that_is_no_node_needs_a_string(
    given: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["join", *given]) == 2
    assert "give HOST:PORT and --token" in capsys.readouterr().err


def test_without_a_string_a_member_stays_who_it_is(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_head(tmp_path / "head") as head:
        join(folder, head.address, head.token(), "node-2", head.beside(2))
        assert main(["join", head.address, "--name", "node-3"]) == 2
        assert "--token: none given" in capsys.readouterr().err
    with running_head(tmp_path / "other") as other:
        assert main(["join", other.address]) == 4
        assert "another cluster" in capsys.readouterr().err

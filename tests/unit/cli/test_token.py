"""`cluster token`: data on stdout, and one test types what is printed there."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cluster.cli.command import main
from cluster.membership.joining import join
from cluster.node.home import forget_home
from cluster.trust.join_string import JoinString
from cluster.trust.kept_authority import open_authority
from tests.fakes.head import running_head


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = tmp_path / "ggml-cluster"
    made.mkdir(mode=0o700)
    return made


def test_what_is_printed_admits_a_machine(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running_head(folder) as head:
        assert main(["token", "create", "--ttl", "5m"]) == 0
        cluster, verb, address, flag, text = capsys.readouterr().out.split()
        assert (cluster, verb, flag) == ("cluster", "join", "--token")
        token = JoinString.of_text(text)
        assert main(["token", "ls"]) == 0
        header, row = capsys.readouterr().out.splitlines()
        assert header.split() == ["ID", "LEFT", "USES"]
        assert row.split()[0] == token.id
        assert row.endswith("0 of 1")
        assert token.secret not in row
        join(tmp_path / "node", address, token, "node-2", head.beside(2))
        assert main(["token", "ls"]) == 0
        assert capsys.readouterr().out.split() == header.split()
        assert main(["token", "create", "--uses", "3"]) == 0
        other = JoinString.of_text(capsys.readouterr().out.split()[-1])
        assert main(["token", "revoke", other.id]) == 0
        assert capsys.readouterr().out.split() == [other.id]
        assert main(["token", "revoke", other.id]) == 2
        assert "see: cluster token ls" in capsys.readouterr().err


def test_while_the_cluster_is_down_the_join_string_alone_is_printed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = open_authority(folder, time.time())
    assert main(["token", "create"]) == 0
    said = capsys.readouterr()
    assert JoinString.of_text(said.out).ca_hash == authority.hash
    assert "not up" in said.err


@pytest.mark.parametrize("verb", [["create"], ["ls"], ["revoke", "aaaaaa"]])
def test_a_machine_that_is_no_head_says_so(verb: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", *verb]) == 2
    assert "cluster up --advertise-address" in capsys.readouterr().err


def test_a_node_of_another_cluster_says_where_its_head_is(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_head(tmp_path / "other") as head:
        join(folder, head.address, head.token(), "node-2", head.beside(2))
        open_authority(folder, time.time())
        assert main(["token", "create"]) == 2
        assert head.home.host in capsys.readouterr().err
        forget_home(folder)
        assert main(["token", "create"]) == 0


@pytest.mark.parametrize(
    "flags", [["--ttl", "0s"], ["--ttl", "soon"], ["--ttl", "999999d"], ["--uses", "0"], ["--uses", "many"]]
)
def test_what_no_token_can_be_is_named(flags: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_authority(folder, time.time())
    assert main(["token", "create", *flags]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1

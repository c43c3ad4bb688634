"""Stages that are started anew, and layers that are cut otherwise, under eight streams: no request fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import cluster
from tests.conftest import CliHome, UpCluster
from tests.fault.streams import Stream, check_alike, happen, stage_pids, streams_of, wait_ready
from tests.fault.table import NUM_RUNS, Table

pytestmark = pytest.mark.ray

NUM_TOKENS = 600  # the command itself takes two seconds to begin


@pytest.fixture(scope="module")
def home(up_cluster: UpCluster) -> Iterator[CliHome]:
    with up_cluster("--demo", "--stages", "2", "--no-http") as home:
        yield home


@pytest.fixture(scope="module")
def undisturbed(home: CliHome) -> list[Stream]:
    return streams_of(home)


def change(home: CliHome, *arguments: str) -> str:
    done = home.run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stderr


def layers(home: CliHome) -> list[tuple[int, int]]:
    with cluster.connect(home.address, home.client_secret) as client:
        return [(stage.first, stage.end) for stage in client.status().stages]


@pytest.mark.parametrize("run", range(NUM_RUNS))
@pytest.mark.parametrize("what", ["1", pytest.param("--rolling", marks=pytest.mark.slow)])
def test_fault_32_restart(what: str, run: int, home: CliHome, undisturbed: list[Stream], table: Table) -> None:
    wait_ready(home)
    before = stage_pids(home)
    streams = happen(home, table, f"cluster restart {what}", lambda: change(home, "restart", what), NUM_TOKENS)
    check_alike(undisturbed, streams)
    kept = [old == new for old, new in zip(before, stage_pids(home), strict=True)]
    assert kept[:2] == [what == "1", False]


@pytest.mark.slow
@pytest.mark.parametrize("run", range(NUM_RUNS))
@pytest.mark.parametrize(
    ("asked", "expected"),
    [(("--stages", "3"), None), (("--layers", "0-2,3-7"), [(0, 3), (3, 8)]), (("--stages", "2"), [(0, 4), (4, 8)])],
    ids=str,
)
def test_resplit(
    asked: tuple[str, ...],
    expected: list[tuple[int, int]] | None,
    run: int,
    home: CliHome,
    undisturbed: list[Stream],
    table: Table,
) -> None:
    """To more stages, and back."""
    wait_ready(home)
    address, what = home.address, f"cluster resplit {' '.join(asked)}"
    streams = happen(home, table, what, lambda: change(home, "resplit", *asked), NUM_TOKENS)
    check_alike(undisturbed, streams)
    assert layers(home) == expected or (expected is None and len(layers(home)) == 3)
    assert home.address == address
    assert "already up and ready" in home.run("up").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("restart",), 2, "restart: give the number of a stage, or --rolling"),
        (("restart", "0", "--rolling"), 2, "restart: give the number of a stage, or --rolling"),
        (("restart", "7"), 2, "restart: there is no stage 7; give one from 0 to"),
        (("resplit",), 2, "resplit: it is not said how; give --stages"),
        (("resplit", "--stages", "300"), 2, "stages"),
        (("resplit", "--layers", "0-3"), 2, "layers"),
        (("resplit", "--devices", "CUDA7"), 2, "devices"),
    ],
)
def test_what_cannot_be_changes_nothing(arguments: tuple[str, ...], code: int, told: str, home: CliHome) -> None:
    before = stage_pids(home)
    done = home.run(*arguments)
    assert (done.returncode, told in done.stderr) == (code, True), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert stage_pids(home) == before


@pytest.mark.parametrize("verb", [("restart", "0"), ("resplit", "--stages", "2")])
def test_without_a_cluster_it_is_said_so(verb: tuple[str, ...], cli_home: CliHome) -> None:
    done = cli_home.run(*verb)
    assert (done.returncode, "no cluster is up here; start one with cluster up" in done.stderr) == (2, True)

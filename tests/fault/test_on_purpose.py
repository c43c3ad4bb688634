"""Stages that are started anew, and layers that are cut otherwise, under eight streams: no request fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import cluster
from tests.conftest import CliHome
from tests.fault.streams import Stream, check, check_alike, streams_of

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliHome]:
    home = CliHome(tmp_path_factory.mktemp("purpose"))
    try:
        done = home.run("up", "--demo", "--stages", "2", "--no-http")
        assert done.returncode == 0, done.stderr
        yield home
    finally:
        home.close()


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


def pids(home: CliHome) -> list[int]:
    with cluster.connect(home.address, home.client_secret) as client:
        return [stage.pid for stage in client.status().stages]


@pytest.mark.parametrize("what", ["1", "--rolling"])
def test_fault_32_restart(what: str, home: CliHome, undisturbed: list[Stream]) -> None:
    before = pids(home)
    streams = streams_of(home, lambda: print(change(home, "restart", what)))
    check(home, streams)
    check_alike(undisturbed, streams)
    assert [old == new for old, new in zip(before, pids(home), strict=True)] == [what == "1", False]
    print(f"restart {what}: the longest pause {max(stream.gap_s for stream in streams):.2f} s")


def test_resplit_to_more_stages_and_back(home: CliHome, undisturbed: list[Stream]) -> None:
    address = home.address
    for asked, expected in ((("--stages", "3"), 3), (("--layers", "0-2,3-7"), 2), (("--stages", "2"), 2)):
        streams = streams_of(home, lambda asked=asked: print(change(home, "resplit", *asked)))  # type: ignore[misc]
        check(home, streams)
        check_alike(undisturbed, streams)
        assert len(layers(home)) == expected
        if asked[0] == "--layers":
            assert layers(home) == [(0, 3), (3, 8)]
        print(f"resplit {asked}: the longest pause {max(stream.gap_s for stream in streams):.2f} s")
    assert home.address == address
    assert "already up and ready" in home.run("up").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("restart",), 2, "restart: give the number of a stage, or --rolling"),
        (("restart", "0", "--rolling"), 2, "restart: give the number of a stage, or --rolling"),
        (("restart", "7"), 2, "restart: there is no stage 7; give one from 0 to 1"),
        (("resplit",), 2, "resplit: it is not said how; give --stages"),
        (("resplit", "--stages", "300"), 2, "stages"),
        (("resplit", "--layers", "0-3"), 2, "layers"),
        (("resplit", "--devices", "CUDA7"), 2, "devices"),
    ],
)
def test_what_cannot_be_changes_nothing(arguments: tuple[str, ...], code: int, told: str, home: CliHome) -> None:
    before = pids(home)
    done = home.run(*arguments)
    assert (done.returncode, told in done.stderr) == (code, True), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert pids(home) == before


@pytest.mark.parametrize("verb", [("restart", "0"), ("resplit", "--stages", "2")])
def test_without_a_cluster_it_is_said_so(verb: tuple[str, ...], cli_home: CliHome) -> None:
    done = cli_home.run(*verb)
    assert (done.returncode, "no cluster is up here; start one with cluster up" in done.stderr) == (2, True)

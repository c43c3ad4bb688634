"""A cluster that is told to stop: running requests end, new ones are refused, and who is in a hurry says it twice."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest

import cluster
from tests.conftest import CliHome
from tests.fakes.wire_backends import wait_until
from tests.fault.streams import NUM_BEFORE, Stream, health

pytestmark = [pytest.mark.ray, pytest.mark.slow]

NUM_TOKENS = 2500  # longer than the command that refuses new ones takes to begin


@pytest.fixture
def serving(cli_home: CliHome) -> Iterator[tuple[CliHome, subprocess.Popen[str]]]:
    process = cli_home.start("up", "--demo", "--stages", "2", "--foreground", "-c", "4096", "--drain", "3m")
    wait_until(lambda: cli_home.state_file.exists() and bool(cli_home.state()["http"]), 90)
    wait_until(lambda: health(str(cli_home.state()["http"])) == 200, 30)
    yield cli_home, process


def begun(home: CliHome, num_tokens: int) -> tuple[list[Stream], list[threading.Thread]]:
    """Some streams, all of which have begun, with clients of their own."""
    streams = [Stream() for _ in range(6)]

    def read(stream: Stream, place: int) -> None:
        with cluster.connect(home.address, home.client_secret) as client:
            stream.read(client, "Once upon a time", place, num_tokens)

    threads = [threading.Thread(target=read, args=(stream, place)) for place, stream in enumerate(streams)]
    for thread in threads:
        thread.start()
    wait_until(lambda: all(len(stream.tokens) > NUM_BEFORE for stream in streams), 60)
    return streams, threads


def refuses(address: str, home: CliHome) -> bool:
    try:
        with cluster.connect(address, home.client_secret) as client:
            client.generate("Once", max_tokens=1)
    except cluster.ClusterError as error:
        return "shutting down" in str(error)
    return False


def test_fault_31_sigterm_lets_running_requests_end(serving: tuple[CliHome, subprocess.Popen[str]]) -> None:
    home, process = serving
    address, base = home.address, str(home.state()["http"])
    asked = json.dumps({"prompt": "Once", "n_predict": NUM_TOKENS, "ignore_eos": True, "stream": True}).encode()
    over_http = urllib.request.urlopen(urllib.request.Request(f"{base}/completion", asked), timeout=120)
    streams, threads = begun(home, NUM_TOKENS)
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: health(base) == 503, 20)
    wait_until(lambda: refuses(address, home), 20)
    assert any(thread.is_alive() for thread in threads), "they ended before anybody was refused"
    with over_http:
        assert b'"stop":true' in over_http.read().replace(b": ", b":")
    for thread, stream in zip(threads, streams, strict=True):
        thread.join(180)
        assert stream.error is None, stream.error
        assert len(stream.tokens) == NUM_TOKENS
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert "letting running requests end, for 3m at most" in told
    assert not home.state_file.exists()


def test_fault_31_a_second_sigterm_ends_it_now(serving: tuple[CliHome, subprocess.Popen[str]]) -> None:
    home, process = serving
    streams, threads = begun(home, 3000)
    process.send_signal(signal.SIGTERM)
    time.sleep(1.0)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=15)
    assert process.returncode == 0, told
    for thread in threads:
        thread.join(60)
    assert all(stream.error is not None for stream in streams)
    assert not home.state_file.exists()


def test_down_with_drain_waits_no_longer_than_that(cli_home: CliHome) -> None:
    assert cli_home.run("up", "--demo", "--stages", "2", "--no-http").returncode == 0
    _, threads = begun(cli_home, 100_000)
    begin_s = time.monotonic()
    done = cli_home.run("down", "--drain", "3s")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begin_s >= 3
    for thread in threads:
        thread.join(60)
    assert "give a number with a unit" in cli_home.run("down", "--drain", "soon").stderr

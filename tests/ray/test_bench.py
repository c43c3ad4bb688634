"""`cluster bench` end to end: small rows with peers, and nothing left behind, whatever happens to it."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import CliHome

END_TIMEOUT_S = 60
PEERS = {"one process", "RPC 2 x 1 thread"}


def processes_of(home: CliHome) -> list[int]:
    """Processes that inherited this home's cache directory."""
    mark = f"XDG_CACHE_HOME={home.environment['XDG_CACHE_HOME']}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:  # gone meanwhile, or not ours
            continue
    return found


def wait_until_gone(home: CliHome) -> None:
    deadline_s = time.monotonic() + END_TIMEOUT_S
    while found := processes_of(home):
        assert time.monotonic() < deadline_s, f"still there: {found}"
        time.sleep(0.1)


def test_rows_peers_and_document(cli_home: CliHome, tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    rows = ("-p", "16", "-n", "6", "-np", "1,2", "-r", "2", "--compare")
    load = ("--concurrency", "2", "--num-prompts", "3", "--input-len", "8", "--output-len", "4")
    done = cli_home.run("bench", "--demo", "--stages", "2", *rows, *load, "-o", "json", "--write", str(document))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [row["test"] for row in report["results"]] == ["pp16", "tg6 x1", "tg6 x2"]
    named = {peer["name"].partition(",")[0] for row in report["results"] for peer in row["peers"]}
    named |= {reason.partition(":")[0].partition(",")[0] for reason in report["missing"]}
    assert named >= PEERS
    for row in report["results"]:
        assert len(row["tokens_per_s"]) == 2
        assert all(0 < busy <= 1 for busy in row["figures"]["busy"])
        assert len(row["figures"]["busy"]) == 2
        assert row["figures"]["hop_ms"]["low"] >= 0
    # Every step is recorded: a stream alone takes one for each token.
    assert report["results"][1]["figures"]["num_steps"] == 2 * 6
    assert (report["serve"]["num_requests"], report["serve"]["num_output_tokens"]) == (3, 12)
    assert "tg6 x2" in document.read_text()
    assert not cli_home.state_file.exists()
    wait_until_gone(cli_home)


def guards_of(home: CliHome) -> list[int]:
    """The processes that wait to take the cluster of a bench in this home down."""
    command = b"cluster.bench.guard"
    return [pid for pid in processes_of(home) if command in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_survives_when_all_of_bench_is_signalled(cli_home: CliHome, sign: signal.Signals) -> None:
    """The guard first, then the bench, which does the guard's work where that could not."""
    bench = cli_home.start("bench", "--demo", "--stages", "2", "-p", "0", "-n", "100", "-r", "1000")
    assert bench.stderr is not None
    for line in bench.stderr:
        if line.startswith("tg100"):
            break
    (guard,) = guards_of(cli_home)
    os.kill(guard, sign)
    bench.send_signal(signal.SIGTERM)
    bench.communicate(timeout=END_TIMEOUT_S)
    assert bench.returncode != 0
    wait_until_gone(cli_home)


def test_nothing_survives_a_killed_bench(cli_home: CliHome) -> None:
    bench = cli_home.start("bench", "--demo", "--stages", "2", "-p", "0", "-n", "100", "-r", "1000", "--compare")
    assert bench.stderr is not None
    for line in bench.stderr:
        if line.startswith("tg100"):
            break
    assert len(processes_of(cli_home)) > 5
    bench.kill()
    bench.communicate()
    wait_until_gone(cli_home)

"""`cluster bench` end to end: small rows with peers, and nothing left behind, whatever happens to it."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CliHome
from tests.proc import shown

END_TIMEOUT_S = 60
PEERS = {"one process", "RPC, 1 thread", "RPC, all cores"}


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
    named = {peer["name"] for row in report["results"] for peer in row["peers"]}
    named |= {reason.partition(":")[0] for reason in report["missing"]}
    assert named == PEERS
    assert report["failed"] == []
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


def bench_of_scenarios(home: CliHome, *arguments: str) -> dict[str, Any]:
    """The report of a bench of the demo model on two stages."""
    done = home.run("bench", "--demo", "--stages", "2", *arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["failed"] == []
    assert report["results"] == []
    return report


@pytest.mark.slow
def test_scenarios_on_the_measured_cluster(cli_home: CliHome) -> None:
    scenarios = ("--gaps", "2,300", "--prefix", "200", "--soak", "60,4", "--http", "3,8")
    report = bench_of_scenarios(cli_home, *scenarios, "-r", "2", "-ub", "64")
    gaps = report["gaps"]
    assert gaps["ratio"]["median"] == pytest.approx(gaps["ratio"]["mean"])  # of two runs
    assert 0 < gaps["before_ms"]["median"] <= gaps["before_ms"]["p99"]
    assert gaps["during_ms"]["p99"] > 0
    assert gaps["first_token_ms"]["low"] > 0
    prefix = report["prefix"]
    assert prefix["cold_cached_tokens"] == 0  # every slot held something else
    assert prefix["num_equal_texts"] == prefix["num_runs"] == 2
    assert prefix["ratio"]["low"] > 0
    http = report["http"]
    assert http["ratio"]["low"] > 0
    assert (http["vllm"]["completed"], http["vllm"]["total_output_tokens"]) == (2 * 3, 2 * 3 * 8)
    assert http["vllm"]["total_input_tokens"] == 2 * 3 * 16
    assert 0 < http["vllm"]["median_itl_ms"] <= http["vllm"]["p99_itl_ms"]
    assert 1 <= http["vllm"]["max_concurrent_requests"] <= 3
    soak = report["soak"]
    assert [sample["num_requests"] for sample in soak["samples"]][-1] == 60
    assert all(sample["coordinator_bytes"] > 2**20 for sample in soak["samples"])
    assert all(found["median"] > 0 for found in (*soak["first_step_ms"], *soak["last_step_ms"]))
    assert len(soak["stage_mb_per_500"]) == 2
    wait_until_gone(cli_home)


@pytest.mark.slow
def test_chunking_on_two_clusters(cli_home: CliHome) -> None:
    report = bench_of_scenarios(cli_home, "--chunking", "600", "-r", "2", "-ub", "64")
    chunking = report["chunking"]
    assert (chunking["prompt_length"], chunking["num_chunks"]) == (600, 10)
    assert chunking["ratio"]["low"] > 0
    assert report["status"]["num_slots"] == 1
    wait_until_gone(cli_home)


@pytest.mark.slow
def test_an_interrupted_bench_tells_what_it_found(cli_home: CliHome) -> None:
    """The row before is printed; the soak, which would take long, is named."""
    bench = cli_home.start("bench", "--demo", "--stages", "2", "-p", "16", "-n", "0", "-r", "1", "--soak", "100000")
    assert bench.stderr is not None
    for line in bench.stderr:
        if line.startswith("soak"):
            break
    bench.send_signal(signal.SIGINT)
    out, _ = bench.communicate(timeout=END_TIMEOUT_S)
    assert bench.returncode == 130
    assert "| pp16 " in out
    assert "Failed: interrupted" in out
    wait_until_gone(cli_home)


def guards_of(home: CliHome) -> list[int]:
    """The processes that wait to take the cluster of a bench in this home down."""
    command = b"cluster.bench.guard"
    return [pid for pid in processes_of(home) if command in shown(pid, "cmdline").split(b"\0")]


@pytest.mark.slow
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


@pytest.mark.slow
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

"""A program over real actors: brought up, asked, killed, repaired, verified and taken down by the command line."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import cluster
from tests.conftest import CliHome, UpCluster
from tests.native.programs.models import WIDTH, layers, saved


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(layers(6), tmp_path_factory.mktemp("program") / "layers.ggp")


@pytest.fixture(scope="module")
def home(up_cluster: UpCluster, program: Path) -> Iterator[CliHome]:
    with up_cluster(str(program), "--stages", "2") as home:
        yield home


def example() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, WIDTH), np.float32)


def test_split_equals_whole(home: CliHome) -> None:
    with cluster.connect(home.address, home.client_secret) as client:
        assert np.array_equal(client.run(x=example())["output"], layers(6)(example()).numpy())


def test_the_command_line_knows_programs(home: CliHome, program: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", example())
    ran = home.run("run", "--input", f"x={tmp_path / 'x.npy'}", "--output", str(tmp_path / "y.npz"))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("output  float32 (3, 16)  from 0 to ")
    made = np.load(tmp_path / "y.npz")["output"]
    assert np.array_equal(made, layers(6)(example()).numpy())
    wrong = home.run("run", "--input", f"y={tmp_path / 'x.npy'}")
    assert wrong.returncode == 2
    assert "'y' is none of its inputs; the program takes x: float32 (batch, 16)" in wrong.stderr
    assert "no NAME=F.npy" in home.run("run", "--input", "x").stderr
    assert "takes arrays only" in home.run("run", "Once", "--input", "x=a.npy").stderr
    assert "which makes no text; ask it to run" in home.run("run", "Once").stderr
    status = json.loads(home.run("status", "-o", "json").stdout)
    assert [(stage["first"], stage["end"]) for stage in status["stages"]] == [(0, 3), (3, 6)]
    assert "UNITS" in home.run("status").stdout
    assert home.run("up").stderr.strip().splitlines()[0] == "already up and ready"
    verified = home.run("verify")
    assert verified.returncode == 0, verified.stderr
    assert verified.stdout.count("equal") == 6
    assert "the cluster that is up" in verified.stdout
    doctor = home.run("doctor")
    assert "they fit" in doctor.stdout or "in use by the cluster" in doctor.stdout


def test_cuts_and_plans(home: CliHome, program: Path) -> None:
    shown = home.run("cuts", str(program))
    assert shown.stdout.splitlines()[0] == "ggml-program, 6 units; it may be cut in front of 1-5"
    found = json.loads(home.run("cuts", str(program), "-o", "json").stdout)
    assert found["num_units"] == 6
    assert found["cuts"][0] == {"unit": 1, "op": "aten.relu.default", "arrays": ["value.13"], "num_bytes": 128}
    planned = home.run("plan", str(program), "--stages", "3")
    assert planned.returncode == 0, planned.stderr
    assert "it fits" in planned.stdout
    stages = json.loads(home.run("plan", str(program), "--stages", "3", "-o", "json").stdout)["stages"]
    assert [(stage["first"], stage["end"]) for stage in stages] == [(0, 2), (2, 4), (4, 6)]
    refused = home.run("plan", str(program), "--stages", "7")
    assert refused.returncode == 2
    assert "7" in refused.stderr


def test_calls_wait_for_a_killed_stage(home: CliHome) -> None:
    status = json.loads(home.run("status", "-o", "json").stdout)
    with cluster.connect(home.address, home.client_secret) as client:
        before = client.run(x=example())["output"]
        os.kill(int(status["stages"][1]["pid"]), signal.SIGKILL)
        deadline = time.monotonic() + 60  # for who repairs, whom nobody has asked
        while not client.status().num_recoveries:
            assert time.monotonic() < deadline, client.status().state
            assert np.array_equal(client.run(x=example())["output"], before)
        assert client.status().state == "ready"

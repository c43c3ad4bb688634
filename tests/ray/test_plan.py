"""`cluster up` follows a plan file, and the loaded stages take what the plan said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import CliHome

FLAGS = ("--devices", "CPU,CPU,CPU", "-c", "128", "-np", "3", "-t", "1", "-ctk", "q8_0", "-ub", "64")


def test_a_plan_is_served_as_planned(cli_home: CliHome, tmp_path: Path) -> None:
    planned = cli_home.run("plan", "--demo", "--layers", "0,1-5,6-7", *FLAGS, "-o", "json")
    assert planned.returncode == 0, planned.stderr
    path = tmp_path / "p.json"
    path.write_text(planned.stdout)
    up = cli_home.run("up", "--plan", str(path))
    assert up.returncode == 0, up.stderr
    again = cli_home.run("up", "--plan", str(path))
    assert "already up and ready" in again.stderr

    stages = json.loads(cli_home.run("status", "-o", "json").stdout)["stages"]
    assert [(stage["first"], stage["end"]) for stage in stages] == [(0, 1), (1, 6), (6, 8)]
    for stage, forecast in zip(stages, json.loads(planned.stdout)["stages"], strict=True):
        for name in ("weight_bytes", "kv_bytes", "compute_bytes"):
            assert stage[name] == pytest.approx(forecast[name], rel=0.05), (stage["stage"], name)
    assert cli_home.run("run", "Once upon a time", "-n", "8").returncode == 0


@pytest.mark.slow
def test_a_plan_for_another_model_starts_nothing(cli_home: CliHome, tmp_path: Path) -> None:
    planned = json.loads(cli_home.run("plan", "--demo", *FLAGS, "-o", "json").stdout)
    path = tmp_path / "p.json"
    path.write_text(json.dumps({**planned, "model_hash": "0" * 64}))
    up = cli_home.run("up", "--plan", str(path))
    assert up.returncode == 2
    assert "made for another model" in up.stderr
    assert len(up.stderr.splitlines()) == 1
    assert not cli_home.state_file.exists()

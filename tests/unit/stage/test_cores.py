"""Which cores the threads of a stage are bound to: as planned, and as they really are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.config import ClusterConfig
from cluster.demo import model_path
from cluster.planning.any_plan import plan_model
from cluster.stage.cores import cores_from

CHILD = Path(__file__).with_name("bound_stage.py")
TWO_CORES = sorted(os.sched_getaffinity(0))[:2] if sys.platform == "linux" else []


def first_cores(monkeypatch: pytest.MonkeyPatch, num_cores: int, num_stages: int, threads: int) -> list[int | None]:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(num_cores)))
    devices = ("CPU",) * num_stages
    plan = plan_model(
        ClusterConfig(model=str(model_path()), stages=num_stages, devices=devices, ctx_size=64, threads=threads)
    )
    return [stage.first_core for stage in plan.stages]


def test_stages_that_fill_the_machine_have_cores_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert first_cores(monkeypatch, 6, 3, 2) == [0, 2, 4]


@pytest.mark.parametrize("num_cores", [5, 8])
def test_threads_are_free_where_cores_are_left_or_short(monkeypatch: pytest.MonkeyPatch, num_cores: int) -> None:
    assert first_cores(monkeypatch, num_cores, 3, 2) == [None] * 3


def test_a_stage_takes_its_own_cores_first() -> None:
    assert cores_from({4, 2, 9}, 0) == [2, 4, 9]
    assert cores_from({4, 2, 9}, 2) == [9, 2, 4]


def affinities(first_core: int, **environment: str) -> dict[str, list[list[int]]]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, str(CHILD), str(model_path()), str(first_core), json.dumps(TWO_CORES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**plain, **environment})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


needs_two_cores = pytest.mark.skipif(len(TWO_CORES) < 2, reason="needs Linux and two cores")


@needs_two_cores
@pytest.mark.parametrize("first_core", [0, 1])
def test_each_computing_thread_stays_on_its_core_and_no_other_is_bound(first_core: int) -> None:
    found = affinities(first_core)
    own, other = TWO_CORES[first_core], TWO_CORES[1 - first_core]
    assert found["computing"] == [[own]]
    assert found["helping"] == [[other]]
    assert found["else"] and all(cores == TWO_CORES for cores in found["else"])


@needs_two_cores
def test_what_the_operator_has_set_stays() -> None:
    found = affinities(1, OMP_PROC_BIND="false")
    assert all(cores == TWO_CORES for threads in found.values() for cores in threads)

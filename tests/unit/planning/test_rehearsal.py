"""A rehearsal of the shipped model: real processes, real messages, weights of zeros."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.config import ClusterConfig
from cluster.demo import model_path
from cluster.planning import rehearsals
from cluster.planning.inventory import take_inventory
from cluster.planning.layout import Layouts
from cluster.planning.measure.dry_run import DryRun
from cluster.planning.rates import forecast_rates
from cluster.planning.rehearsals import rehearsed

CONFIG = ClusterConfig(str(model_path()), stages=2, devices=("CPU",) * 2, ctx_size=64, parallel=2, threads=1)
RANGES = ((0, 5), (5, 8))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_stages_are_seen_at_work_once_and_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    found = take_inventory(CONFIG)
    with DryRun(found.model) as dry_run:
        sizes = Layouts(found, dry_run).layer_sizes(found.context, ["CPU", "CPU"])
    seen = rehearsed(found, RANGES, sizes)
    assert seen.parts == RANGES, "so small a model is rehearsed as a whole"
    for scene, watched in zip(seen.scenes, seen.figures.watched, strict=True):
        assert watched.num_rows == (1 if not scene.exclusive else scene.num_sequences)
        assert all(step_ms > 0 for step_ms in watched.steps_ms)
        assert watched.round_ms >= max(watched.steps_ms)
    costs = seen.costs(RANGES)
    assert all(stage.decode_ms and stage.exclusive_ms for stage in costs.stages)
    monkeypatch.setattr(rehearsals, "rehearse", None)
    assert rehearsed(found, RANGES, sizes).figures == seen.figures
    assert 0 < forecast_rates(CONFIG, RANGES, [(1, 2), (64, 2)])[1, 2] < 1e6

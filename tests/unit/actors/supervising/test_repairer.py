"""By which plan a cluster is repaired: the one that it came up with, as long as it is that of the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cluster.actors.driver.launch import Launch
from cluster.actors.supervising import repairer
from cluster.actors.supervising.log import LogProgress
from cluster.actors.supervising.repairer import Repairer
from cluster.api.errors import ClusterError
from cluster.coordinator.spec import CoordinatorSpec
from cluster.demo import model_path
from cluster.node.state import ClusterState
from cluster.planning.model_plan import ModelPlan
from cluster.sources.resolve import resolve

SOURCE = resolve(str(model_path()))
COORDINATOR = CoordinatorSpec("m", SOURCE, "ab", "llama", 64, 8, 2, 16, 8, True, "127.0.0.1", 0)
KNOWN = ModelPlan((), COORDINATOR, (0, 4, 8), ("CPU", "CPU"), ())
MADE = replace(KNOWN, warnings=("made anew",))


class Placed:
    """A Placing that notes what it brings up."""

    def __init__(self) -> None:
        self.plans: list[ModelPlan] = []

    def plan_over(self, *_: Any) -> ModelPlan:
        return MADE

    def bring_up(self, launch: Launch, state: ClusterState, plan: ModelPlan) -> str:
        self.plans.append(plan)
        return ""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterState:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "run").mkdir(mode=0o700)
    return ClusterState(
        "i",
        "127.0.0.1:1",
        "n",
        True,
        str(tmp_path / "run"),
        "127.0.0.1:2",
        True,
        {"model": str(model_path())},
        model_hash="ab",
        bounds=KNOWN.bounds,
        devices=KNOWN.devices,
        model_version=SOURCE.version,
    )


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> Placed:
    @contextmanager
    def guest(*_: Any) -> Iterator[Launch]:
        yield cast(Launch, SimpleNamespace())

    made = Placed()
    monkeypatch.setattr(repairer, "guest", guest)
    monkeypatch.setattr(repairer, "Placing", lambda progress: made)
    return made


@pytest.mark.parametrize(
    ("changes", "plan"),
    [
        ({}, KNOWN),
        ({"bounds": (0, 5, 8)}, MADE),
        ({"devices": ("CPU", "CUDA0")}, MADE),
        ({"model_hash": "cd"}, MADE),
        ({"model_version": "of another file"}, MADE),
        ({"config": {"model": str(model_path()), "lora": ["/a.gguf:1.0"]}}, MADE),
    ],
    ids=str,
)
def test_what_has_not_changed_is_not_planned_again(
    changes: dict[str, Any], plan: ModelPlan, state: ClusterState, placed: Placed
) -> None:
    found = Repairer(LogProgress())
    found.plan = KNOWN
    found.repair(replace(state, **changes))
    assert placed.plans == [plan]
    assert found.plan is plan, "the next repair goes by it"


def test_a_plan_is_made_ahead_where_none_is_known(state: ClusterState, placed: Placed) -> None:
    found = Repairer(LogProgress())
    found.prepare(state)
    assert found.plan is MADE
    found.prepare(state)
    found.repair(state)
    assert placed.plans == [MADE]


def test_a_run_folder_that_others_may_write_is_not_used(state: ClusterState, placed: Placed) -> None:
    Path(state.run_folder).chmod(0o777)
    with pytest.raises(ClusterError, match="others may write into it"):
        Repairer(LogProgress()).repair(state)
    assert placed.plans == []

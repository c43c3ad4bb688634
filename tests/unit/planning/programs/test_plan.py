"""Plans for programs: as much to compute on each device, or as the settings say, or what does not fit."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from cluster.api.errors import CapacityError, UsageError
from cluster.config import ClusterConfig
from cluster.planning.any_plan import check_any, plan_model, take_any
from cluster.planning.inventory import Inventory
from cluster.planning.model_plan import ModelPlan
from cluster.planning.programs.inventory import ProgramInventory
from cluster.planning.programs.report import ProgramReport, report_program
from cluster.stage.spec import ProgramOptions
from ggml.core.dtypes import float32
from ggml.programs.expressions import Symbol
from ggml.programs.graph import Graph, Output, Ref, Role, TensorSpec
from tests.fakes.fake_nodes import FakeNodes, fake_node
from tests.ggml.programs.slices.graphs import chain, node, program, user, weight, with_state
from tests.unit.cutting.programs.files import saved

TWO = FakeNodes((fake_node("one"), fake_node("two")))
MIB = 1 << 20


def config_of(folder: Path, graph: Graph | None = None, **settings: object) -> ClusterConfig:
    path = saved(folder, chain(8) if graph is None else graph)
    return ClusterConfig(model=str(path), threads=1, **settings)  # type: ignore[arg-type]


def report_of(config: ClusterConfig, nodes: FakeNodes) -> ProgramReport:
    found = take_any(config, nodes)
    assert isinstance(found, ProgramInventory)
    return report_program(found)


def ranges(plan: ModelPlan) -> list[tuple[int, int]]:
    return [(stage.first, stage.end) for stage in plan.stages]


def uneven() -> Graph:
    """Layers of 64 to 64 numbers, of which the first two are most of the work."""
    rows = TensorSpec(float32, (Symbol(0), 64))
    wide, square = TensorSpec(float32, (64, 256)), TensorSpec(float32, (64, 64))
    hidden, back = TensorSpec(float32, (Symbol(0), 256)), TensorSpec(float32, (256, 64))
    return program(
        [
            user("x", rows),
            weight("up", wide),
            weight("down", back),
            *[weight(f"w{layer}", square) for layer in range(4)],
        ],
        [
            node("mm.default", Ref(0), Ref(1), spec=hidden),
            node("mm.default", Ref(7), Ref(2), spec=rows),
            *[node("mm.default", Ref(8 + layer), Ref(3 + layer), spec=rows) for layer in range(4)],
        ],
        [Output("y", Role.USER, Ref(12))],
    )


def test_equal_layers_on_equal_devices_are_halves(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    assert isinstance(take_any(config), ProgramInventory)
    plan = plan_model(config, nodes=TWO)
    assert ranges(plan) == [(0, 4), (4, 8)]
    assert plan.devices == ("one:CPU", "two:CPU")
    assert plan.coordinator.num_stages == 2
    assert plan.coordinator.weight_bytes == 8 * 36
    assert plan.coordinator.num_parameters == 8 * 9
    assert "may be cut at 7 places" in plan.coordinator.plan


@pytest.mark.parametrize("num_stages", [1, 2, 3, 8])
def test_stages_cover_all_units(num_stages: int, tmp_path: Path) -> None:
    plan = plan_model(config_of(tmp_path, stages=num_stages, devices=("CPU",) * num_stages))
    assert len(plan.stages) == num_stages
    assert (plan.bounds[0], plan.bounds[-1]) == (0, 8)
    assert ranges(plan) == list(pairwise(plan.bounds))
    sizes = [end - first for first, end in ranges(plan)]
    assert max(sizes) - min(sizes) <= 1, "each has as much work, but for a unit"


def test_units_are_balanced_by_work_and_not_by_number(tmp_path: Path) -> None:
    plan = plan_model(config_of(tmp_path, uneven()), nodes=TWO)
    found = report_of(config_of(tmp_path, uneven()), TWO)
    assert ranges(plan) == [(one.first, one.end) for one in found.stages]
    # Per row the first two layers compute 64 * 256 each, the four others 64 * 64: 16, 16, 4, 4, 4, 4 of 48.
    assert found.num_units == 6
    assert max(one.work for one in found.stages) == pytest.approx(2 / 3), "halves by number would be 3/4 and 1/4"


def test_layers_says_where(tmp_path: Path) -> None:
    assert ranges(plan_model(config_of(tmp_path, layers="0-1,2-7"), nodes=TWO)) == [(0, 2), (2, 8)]


@pytest.mark.parametrize("layers", ["0-1,2-8", "0-1,2-6"])
def test_layers_must_cover_the_program(layers: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"layers: they end at [68], the model's last is 7"):
        plan_model(config_of(tmp_path, layers=layers), nodes=TWO)


def test_tensor_split_says_how_much(tmp_path: Path) -> None:
    assert ranges(plan_model(config_of(tmp_path, tensor_split="3,1"), nodes=TWO)) == [(0, 6), (6, 8)]


def test_more_stages_than_units(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="9"):
        check_any(config_of(tmp_path, stages=9, devices=("CPU",) * 9))


def test_a_program_with_state_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"buffers.*python -m ggml run"):
        plan_model(config_of(tmp_path, with_state()))


def test_what_only_models_with_text_have_is_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    with pytest.raises(UsageError, match=r"embeddings: .* is a program"):
        plan_model(replace(config, embeddings=True))


def heavy() -> Graph:
    """Two layers of 4 MiB of weights each."""
    wide = TensorSpec(float32, (1024, 1024))
    rows = TensorSpec(float32, (Symbol(0), 1024))
    whole = chain(2)
    return replace(
        whole,
        inputs=(user("x", rows), weight("w0", wide), weight("w1", wide)),
        nodes=tuple(replace(one, op=one.op.replace("mm", "linear"), specs=(rows,)) for one in whole.nodes),
    )


def test_what_does_not_fit_is_refused_and_reported(tmp_path: Path) -> None:
    config = config_of(tmp_path, heavy())
    small = FakeNodes((fake_node("one", free_bytes=2 * MIB),))
    with pytest.raises(CapacityError, match="one/CPU has"):
        plan_model(config, nodes=small)
    found = report_of(config, small)
    assert not found.fits


def test_what_fits_on_two_but_not_on_one_is_divided(tmp_path: Path) -> None:
    nodes = FakeNodes((fake_node("one", free_bytes=6 * MIB), fake_node("two", free_bytes=6 * MIB)))
    assert ranges(plan_model(config_of(tmp_path, heavy()), nodes=nodes)) == [(0, 1), (1, 2)]
    alone = FakeNodes((fake_node("one", free_bytes=6 * MIB),))
    with pytest.raises(CapacityError):
        plan_model(config_of(tmp_path, heavy()), nodes=alone)


def test_a_call_may_take_what_the_device_has_beside_the_weights(tmp_path: Path) -> None:
    free = 100 * MIB
    nodes = FakeNodes((fake_node("one", free_bytes=free), fake_node("two", free_bytes=2 * free)))
    plan = plan_model(config_of(tmp_path, heavy(), layers="0-0,1-1", headroom=0.5), nodes=nodes)
    options = [stage.options for stage in plan.stages]
    assert options == [ProgramOptions(free // 2 - 4 * MIB), ProgramOptions(free - 4 * MIB)]


def test_stages_of_one_device_share_what_it_has(tmp_path: Path) -> None:
    nodes = FakeNodes((fake_node("one", free_bytes=100 * MIB),))
    plan = plan_model(config_of(tmp_path, heavy(), devices=("CPU", "CPU"), headroom=0.0), nodes=nodes)
    assert [stage.options for stage in plan.stages] == [ProgramOptions((100 - 8) * MIB // 2)] * 2


def test_a_living_cluster_is_not_placed_anew(tmp_path: Path) -> None:
    plan = plan_model(config_of(tmp_path), (0, 1, 8), TWO, ("two:CPU", "one:CPU"))
    assert [(stage.node, stage.first, stage.end) for stage in plan.stages] == [("two", 0, 1), ("one", 1, 8)]
    assert "before the repair" in plan.coordinator.plan


def test_the_report_adds_up(tmp_path: Path) -> None:
    found = report_of(config_of(tmp_path, layers="0-2,3-7"), TWO)
    assert (found.num_units, found.fits, found.model_name) == (8, True, "model.ggp")
    assert [(one.node, one.first, one.end, one.weight_bytes) for one in found.stages] == [
        ("one", 0, 3, 3 * 36), ("two", 3, 8, 5 * 36),
    ]  # fmt: skip
    assert sum(one.work for one in found.stages) == pytest.approx(1)
    assert [one.sent_bytes for one in found.stages] == [36, 0]
    assert all(one.compute_bytes > 0 for one in found.stages)
    plan = plan_model(config_of(tmp_path, layers="0-2,3-7"), nodes=TWO)
    assert [ProgramOptions(one.call_bytes) for one in found.stages] == [stage.options for stage in plan.stages]


def test_another_model_has_no_report_of_a_program() -> None:
    from cluster.demo import model_path

    assert isinstance(take_any(ClusterConfig(model=str(model_path())), TWO), Inventory)

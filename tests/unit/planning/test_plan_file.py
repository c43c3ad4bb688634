"""`cluster plan` and plan files: what it writes is followed, and anything else is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.api.errors import ClusterError, UsageError
from cluster.cli.command import build_parser, main
from cluster.config import load_config
from cluster.demo import model_path
from cluster.planning.any_plan import plan_model
from cluster.planning.inventory import take_inventory
from cluster.planning.plan_file import check_nodes, checked_settings, to_json
from cluster.planning.report import report_model
from tests.fakes.fake_nodes import FakeNodes, fake_node
from tests.fakes.tiny_models import TinyModel, write_tiny

FLAGS = ("--devices", "CPU,CPU", "-c", "64", "-t", "1", "-np", "3", "-ctk", "q8_0")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def one_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices are measured once for all tests here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


Plan = Callable[..., tuple[int, str]]


@pytest.fixture
def plan(capsys: pytest.CaptureFixture[str]) -> Plan:
    """Runs `cluster plan`: the exit code and what it printed."""

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["plan", *arguments])
        return code, capsys.readouterr().out

    return run


@pytest.fixture
def plan_json(plan: Plan) -> dict[str, Any]:
    _, text = plan("--demo", *FLAGS, "-o", "json")
    found: dict[str, Any] = json.loads(text)
    return found


def write(folder: Path, content: Any) -> str:
    path = folder / "p.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_the_table_names_stages_speed_and_advice(plan: Plan) -> None:
    code, text = plan("--demo", *FLAGS, "--explain")
    assert code == 0
    assert text.splitlines()[1].split()[:8] == [
        "STAGE",
        "NODE",
        "DEVICE",
        "LAYERS",
        "WEIGHTS",
        "KV",
        "COMPUTE",
        "LOGITS",
    ]
    assert [line.split()[:3] for line in text.splitlines()[2:4]] == [
        ["0", "localhost", "CPU"],
        ["1", "localhost", "CPU"],
    ]
    for part in ("forecast  ", "slowest   stage ", "memory    it fits", "reason    messages: ", "reason    cut 1: "):
        assert part in text


def test_the_number_of_stages_may_be_left_to_the_planner(plan: Plan) -> None:
    layers = [
        json.loads(plan("--demo", "-c", "64", *more, "-o", "json")[1])["stages"] for more in ((), ("--stages", "auto"))
    ]
    assert layers[0] == layers[1]
    with pytest.raises(UsageError, match="neither a number nor auto"):
        build_parser().parse_args(["plan", "--demo", "--stages", "many"])


def test_what_does_not_fit_is_said_with_exit_code_3(plan: Plan) -> None:
    code, text = plan("--demo", "--headroom", "0.999999999", *FLAGS)
    assert code == 3
    assert "IT DOES NOT FIT" in text
    assert "advice    memory: " in text


def test_a_plan_is_followed(plan_json: dict[str, Any], tmp_path: Path) -> None:
    plan_json["stages"][0]["end"] = plan_json["stages"][1]["first"] = 3
    settings = checked_settings(write(tmp_path, plan_json), {"model": None, "port": 4711})
    config = load_config(None, settings)
    assert (config.ctx_size, config.parallel, config.cache_type_k, config.threads) == (64, 3, "q8_0", 1)
    assert (config.port, config.devices) == (4711, ("CPU", "CPU"))
    made = plan_model(config)
    assert made.bounds == (0, 3, 8)
    assert made.coordinator.model_hash == plan_json["model_hash"]


def test_settings_beside_a_plan_must_agree_with_it(plan_json: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path, plan_json)
    checked_settings(path, {"model": str(model_path()), "parallel": 3, "stages": 2})
    for name, value in (("parallel", 4), ("stages", 3), ("tensor_split", "1,1"), ("model", "/other.gguf")):
        with pytest.raises(UsageError, match=f"^{name.replace('_', '-')}: .* is not what the plan"):
            checked_settings(path, {name: value})


def test_another_model_is_refused(plan_json: dict[str, Any], tmp_path: Path) -> None:
    other = write_tiny(tmp_path / "other.gguf", TinyModel())
    with pytest.raises(
        UsageError, match=r"made for another model: .*other\.gguf' has hash [0-9a-f]{12}, the plan says"
    ):
        checked_settings(write(tmp_path, {**plan_json, "model": str(other)}), {})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("node", "elsewhere", "stage 1 is on node 'elsewhere', only localhost is there"),
        ("device", "CUDA7", r"made for other devices: stage 1's 'CUDA7' \(.*\) is not there"),
        ("device_description", "Abacus", r"stage 1's 'CPU' \('Abacus'\) is '.*' here"),
    ],
)
def test_other_devices_are_refused(
    plan_json: dict[str, Any], tmp_path: Path, field: str, value: str, message: str
) -> None:
    plan_json["stages"][1][field] = value
    with pytest.raises(UsageError, match=message):
        checked_settings(write(tmp_path, plan_json), {})


NODES = FakeNodes((fake_node("one", num_cores=2), fake_node("two", num_cores=4)))


@pytest.fixture(scope="module")
def plan_of_nodes() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        to_json(report_model(take_inventory(load_config(None, {"model": str(model_path()), "ctx_size": 64}), NODES)))
    )
    return found


def test_a_plan_names_the_nodes_and_is_followed_on_them(plan_of_nodes: dict[str, Any], tmp_path: Path) -> None:
    assert [(stage["node"], stage["num_threads"]) for stage in plan_of_nodes["stages"]] == [("one", 2), ("two", 4)]
    assert plan_of_nodes["links"] == [{"node": "one", "other": "two", "round_trip_ms": 0.5, "bytes_per_s": 117e6}]
    settings = checked_settings(write(tmp_path, plan_of_nodes), {}, NODES)
    assert (settings["devices"], settings["threads"]) == (("one:CPU", "two:CPU"), None)
    made = plan_model(load_config(None, settings), nodes=NODES)
    assert [(stage.node, stage.num_threads) for stage in made.stages] == [("one", 2), ("two", 4)]
    assert made.bounds == (0, *(stage["end"] for stage in plan_of_nodes["stages"]))


def test_a_plan_of_nodes_that_are_not_there_is_refused(plan_of_nodes: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path, plan_of_nodes)
    with pytest.raises(UsageError, match="stage 0 is on node 'one', only localhost is there"):
        checked_settings(path, {})
    assert checked_settings(path, {}, are_nodes_there=False)["devices"] == ("one:CPU", "two:CPU")
    others = FakeNodes((fake_node("one"), fake_node("three")))
    for check in (lambda: checked_settings(path, {}, others), lambda: check_nodes(path, others)):
        with pytest.raises(UsageError, match="stage 1 is on node 'two', only one, three are there; plan anew"):
            check()
    with pytest.raises(UsageError, match=r"stage 1's 'CPU' \('fake CPU'\) is not there"):
        check_nodes(path, FakeNodes((fake_node("one"), fake_node("two", "CUDA0"))))
    check_nodes(path, NODES)


def changed(plan: dict[str, Any], where: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(plan))
    inner: Any = copy
    for key in where[:-1]:
        inner = inner[key]
    if value is None:
        del inner[where[-1]]
    else:
        inner[where[-1]] = value
    return copy


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("format",), "ggml-cluster plan 2"),
        (("model",), 7),
        (("model",), None),
        (("model",), "a\0b"),
        (("model_hash",), ["x"]),
        (("parallel",), True),
        (("parallel",), 10**30),
        (("ctx_size",), -5),
        (("ctx_size",), 10**7),
        (("headroom",), 7.5),
        (("ubatch_size",), 1.5),
        (("cache_type_k",), "f17"),
        (("flash_attn",), "perhaps\n"),
        (("stages",), []),
        (("stages",), [1]),
        (("stages",), [{}] * 257),
        (("stages", 0, "first"), 1),
        (("stages", 0, "end"), 0),
        (("stages", 0, "end"), 10**40),
        (("stages", 1, "first"), 7),
        (("stages", 1, "end"), 9),
        (("stages", 0, "num_threads"), 0),
        (("stages", 0, "num_threads"), -1),
        (("parallel",), -1),
        (("ctx_size",), 0),
        (("stages", 0, "device"), "\x1b[2J"),
    ],
)
def test_hostile_plans_are_refused_in_one_line(
    plan_json: dict[str, Any], tmp_path: Path, where: tuple[str | int, ...], value: Any
) -> None:
    path = write(tmp_path, changed(plan_json, where, value))
    with pytest.raises(ClusterError) as caught:
        plan_model(load_config(None, checked_settings(path, {})))
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "\x00", "[" * 100_000, " " * (2 << 20), '{"format": NaN}'])
def test_what_is_no_plan_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(UsageError, match=r"not a plan: .*; write one with: cluster plan -o json"):
        checked_settings(write(tmp_path, content), {})
    with pytest.raises(UsageError, match="No such file"):
        checked_settings(str(tmp_path / "none.json"), {})

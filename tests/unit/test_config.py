"""Settings are checked where they enter, and each error names the setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.api.errors import UsageError
from cluster.cli.command import build_parser
from cluster.config import ClusterConfig, load_config


def test_flags_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('model = "m.gguf"\nctx-size = 128\nparallel = 3\ndevices = ["CPU", "CPU"]\n')
    config = load_config(str(path), {"parallel": 5, "threads": None})
    assert (config.ctx_size, config.parallel, config.threads, config.devices) == (128, 5, None, ("CPU", "CPU"))
    assert config.max_waiting == ClusterConfig(model="m").max_waiting
    assert Path(config.model).is_absolute()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("ctx_sise = 1", "'ctx_size'"),
        ("zzz = 1", "known keys"),
        ("stages = 'two'", "stages"),
        ("stages = true", "stages"),
        ("model = 7", "model"),
        ("devices = 'CPU'", "devices"),
        ("pipeline-prompts = 1", "pipeline_prompts"),
        ("client-secret-file = 1", "client_secret_file"),
        ("stages = ", "TOML"),
        ("[stages]\na = 1", "stages"),
    ],
)
def test_a_wrong_file_is_refused(text: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=named):
        load_config(str(path), {"model": "m"})


@pytest.mark.parametrize(
    "settings",
    [
        {"stages": 0},
        {"stages": -1},
        {"stages": 10_000},
        {"ctx_size": -1},
        {"ctx_size": False},
        {"ctx_size": 1},
        {"parallel": 0},
        {"parallel": -2},
        {"parallel": 1000},
        {"threads": -2},
        {"threads": False},
        {"ubatch_size": 0},
        {"port": 65536},
        {"port": -1},
        {"max_waiting": -1},
        {"cache_type_k": "q3"},
        {"flash_attn": "maybe"},
        {"pipeline_prompts": 0},
        {"host": "192.0.2.1"},
        {"nodes": 0},
        {"wait": "soon"},
        {"first_port": 80},
        {"insecure": True},
        {"nodes": 2, "address": "10.0.0.1:6379"},
        {"devices": ("CPU",), "stages": 2},
        {"lora": ("a.gguf:nan",)},
        {"lora": ("a.gguf:1e39",)},
        {"lora": ("a.gguf",) * 65},
    ],
    ids=str,
)
def test_an_impossible_setting_names_itself(settings: dict[str, Any]) -> None:
    name = next(iter(settings)).replace("_", "-")
    with pytest.raises(UsageError, match=name):
        ClusterConfig(model="m", **settings)


def test_chunks_of_a_prompt_are_pipelined_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('model = "m.gguf"\npipeline-prompts = false\n')
    assert ClusterConfig(model="m").pipeline_prompts
    assert not load_config(str(path), {}).pipeline_prompts
    flags = [build_parser().parse_args(["up", "m", *given]) for given in ([], ["--no-pipeline-prompts"])]
    assert [one.pipeline_prompts for one in flags] == [None, False]


@pytest.mark.parametrize(
    ("settings", "patience_s"),
    [({}, 60), ({"repair": False}, 0), ({"patience": "5s"}, 5), ({"repair": False, "patience": "2m"}, 120)],
)
def test_requests_wait_where_somebody_repairs(settings: dict[str, Any], patience_s: int) -> None:
    assert ClusterConfig(model="m", **settings).patience_s == patience_s


def test_a_cluster_is_repaired_unless_told_otherwise() -> None:
    flags = [build_parser().parse_args(["up", "m", *given]) for given in ([], ["--no-repair"], ["--repair"])]
    assert [one.repair for one in flags] == [None, False, True]
    assert ClusterConfig(model="m").repair


def test_paths_of_adapters_are_made_absolute_and_keep_their_scale(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('model = "m.gguf"\nlora = ["a.gguf", "b:c.gguf:-0.5"]\n')
    here = Path.cwd()
    assert load_config(str(path), {}).lora == (f"{here}/a.gguf:1.0", f"{here}/b:c.gguf:-0.5")


def test_a_missing_file_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="nowhere"):
        load_config("/nowhere/c.toml", {"model": "m"})


def test_a_home_folder_that_is_not_there_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"~nobody-of-that-name/m\.gguf"):
        load_config(None, {"model": "~nobody-of-that-name/m.gguf"})


@pytest.mark.parametrize("name", ["hf:org/repo:Q4_K_M", "https://host/m.gguf?token=1", "http://host/m.gguf"])
def test_only_paths_are_made_absolute(name: str) -> None:
    assert load_config(None, {"model": name}).model == name
    assert load_config(None, {"model": "m.gguf"}).model == str(Path("m.gguf").absolute())


def test_the_path_of_an_mmproj_file_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(None, {"model": "m.gguf"}).mmproj is None
    assert load_config(None, {"model": "m.gguf", "mmproj": "p.gguf"}).mmproj == str(tmp_path / "p.gguf")
    (tmp_path / "c.toml").write_text('model = "m.gguf"\nmmproj = "p.gguf"\n')
    assert load_config("c.toml", {}).mmproj == str(tmp_path / "p.gguf")

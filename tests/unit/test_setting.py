"""What a setting may be is said once, in its annotation: no file, flag or check can forget one."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from cluster.api.errors import UsageError
from cluster.cli import settings
from cluster.cli.command import build_parser, verb_parsers
from cluster.cli.settings import PLAN_SETTINGS, UP_SETTINGS, add_setting_flags
from cluster.config import ClusterConfig, load_config
from cluster.duration import seconds
from cluster.setting import Duration, Whole, settings_of

NAMES = [field.name for field in fields(ClusterConfig)]


@dataclass(frozen=True, slots=True)
class More(ClusterConfig):
    """Settings that somebody adds: nothing but these lines."""

    draft_tokens: Annotated[int, Whole(0, 16)] = 4
    draft_model: str | None = None
    draft_kind: Literal["greedy", "tree"] = "greedy"
    drafts: bool = False


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_refused_by_name_in_a_file_that_has_it_wrong(name: str, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(f"{name} = 1979-05-27\n")
    with pytest.raises(UsageError, match=rf"c\.toml: {name}: .* is of the wrong type"):
        load_config(str(path), {"model": "m"} if name != "model" else {})


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_checked_where_it_enters(name: str) -> None:
    with pytest.raises(UsageError, match=f"^{name.replace('_', '-')}: "):
        ClusterConfig(**{"model": "m", name: object()})


def test_every_setting_has_a_flag_that_explains_it() -> None:
    assert sorted((*PLAN_SETTINGS, *UP_SETTINGS)) == sorted(NAMES)
    for verb, names in {"up": NAMES, "plan": PLAN_SETTINGS}.items():
        actions = {action.dest: action for action in verb_parsers(build_parser())[verb]._actions}
        assert all(actions[name].help for name in names)


def test_a_new_setting_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"draft_tokens": 17, "draft_model": 7, "draft_kind": "wide", "drafts": 1}.items():
        with pytest.raises(UsageError, match=f"^{name.replace('_', '-')}: "):
            More(**{"model": "m", name: value})
    monkeypatch.setattr(settings, "ClusterConfig", More)
    parser = argparse.ArgumentParser()
    new: dict[str, Any] = {"draft_tokens": 2, "draft_model": "d.gguf", "draft_kind": "tree", "drafts": True}
    add_setting_flags(parser, new)
    given = parser.parse_args(["--draft-tokens", "2", "--draft-model", "d.gguf", "--draft-kind", "tree", "--drafts"])
    assert vars(given) == new
    told = " ".join(parser.format_help().split())
    assert "--draft-tokens DRAFT_TOKENS a whole number from 0 to 16 (default: 4)" in told
    assert "greedy, tree (default: greedy)" in told


def test_a_number_without_bounds_is_a_fault_of_ours() -> None:
    @dataclass(frozen=True)
    class Unbounded:
        draft_tokens: int = 4

    with pytest.raises(AssertionError, match="draft_tokens: a number without bounds"):
        settings_of(Unbounded)


@pytest.mark.parametrize(("text", "length_s"), [("90s", 90), ("5m", 300), ("1h", 3600), ("7d", 604_800)])
def test_a_length_of_time(text: str, length_s: int) -> None:
    Duration().check("wait", text)
    assert seconds("wait", text) == length_s


@pytest.mark.parametrize("text", ["", "5", "m", "0s", "-1m", "1.5h", "5 m", "1e9s", "9999999s", "٣s", 5, None])
def test_what_is_no_length_of_time(text: object) -> None:
    with pytest.raises(UsageError, match=r"^wait: .*; give a number with a unit, such as 90s, 5m or 1h$"):
        Duration().check("wait", text)

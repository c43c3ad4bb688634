"""The units: what systemd itself says of them, with commands that are surely there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cluster.config import load_config
from tests.deploy.files import DEPLOY
from tests.deploy.tools import run, tool

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    text = re.sub(r"/opt/ggml-cluster/bin/cluster\b", "/bin/true", unit.read_text(encoding="utf-8"))
    copy = tmp_path / unit.name
    # Whoever runs the tests: the user of the unit is made where it is installed.
    copy.write_text(text.replace("User=ggml-cluster", "User=root"), encoding="utf-8")
    assert "/opt/" not in re.sub(r"^#.*$", "", copy.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert run(tool("systemd-analyze"), "verify", "--man=no", str(copy)) == ""


@pytest.mark.parametrize("is_member", [False, True])
def test_a_machine_that_has_joined_needs_no_string(is_member: bool, tmp_path: Path) -> None:
    """The command of ExecStart, with what systemd would put in, and a `cluster` that tells how it was called."""
    text = (DEPLOY / "systemd" / "ggml-cluster-node.service").read_text(encoding="utf-8").replace("\\\n", " ")
    (script,) = re.findall(r"^ExecStart=/bin/sh -c '(.*)'$", text, re.MULTILINE)
    if is_member:
        (tmp_path / "ggml-cluster").mkdir()
        (tmp_path / "ggml-cluster" / "node.json").write_text("{}")
    for name, value in (("XDG_STATE_HOME", str(tmp_path)), ("HEAD", "10.0.0.1:8469")):
        script = script.replace(f"${{{name}}}", value)
    told = run(tool("sh"), "-c", script.replace("/opt/ggml-cluster/bin/cluster", "echo"))
    given = [] if is_member else ["10.0.0.1:8469", "--token", "@/etc/ggml-cluster/join"]
    assert told.split() == ["join", *given]


def test_the_settings_are_settings() -> None:
    path = DEPLOY / "systemd" / "head.toml"
    config = load_config(str(path), {})
    assert (config.model, config.port, config.nodes) == ("/srv/models/model.gguf", 8470, 1)


def test_what_the_settings_say_in_comments_holds(tmp_path: Path) -> None:
    text = (DEPLOY / "systemd" / "head.toml").read_text(encoding="utf-8")
    path = tmp_path / "head.toml"
    (tmp_path / "api-keys").write_text("one\ntwo\n", encoding="utf-8")
    text = text.replace("/etc/ggml-cluster/api-keys", str(tmp_path / "api-keys"))
    path.write_text(re.sub(r"^# (?=[a-z-]+ = )", "", text, flags=re.MULTILINE), encoding="utf-8")
    config = load_config(str(path), {})
    assert len(config.api_key) == 2
    assert (config.nodes, config.wait_s, config.is_shared) == (3, 600, True)

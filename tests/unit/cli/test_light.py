"""`cluster --help` and wrong flags answer without loading what only the verbs need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cluster
from cluster.cli.command import build_parser, main, verb_parsers
from cluster.cli.verbs import SYNONYMS


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))


HEAVY = ("ray", "grpc", "numpy", "google.protobuf", "worker_native", "llama_cpp", "huggingface_hub", "httpx2")
SHOW_HEAVY = (
    f"import sys; loaded = [name for name in {HEAVY!r} if name in sys.modules]; sys.exit(str(loaded) if loaded else 0)"
)


@pytest.mark.parametrize("arguments", [["--help"], ["up", "--help"], ["run", "--help"], ["cache", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    script = f"""
import contextlib, io
from cluster.cli.command import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main({arguments!r})
{SHOW_HEAVY}
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["frobnicate"], "give one of up, run, chat, serve"),
        (["uo"], "did you mean: cluster up"),
        (["serve", "m.gguf"], "to start one: cluster up m.gguf"),
        (["stop"], "did you mean: cluster down"),
        (["version"], "did you mean: cluster --version"),
        (["it's"], "it's"),
        (["run"], "prompt"),
        (["run", "x", "--temp", "hot"], "--temp"),
        (["up", "--demo", "--stages", "two"], "--stages"),
        (["up", "model.gguf", "--demo"], "--demo"),
        (["up", "model.gguf", "-hf", "o/r:Q4_0"], "-hf"),
        (["up", "--demo", "-hf", "o/r:Q4_0"], "-hf o/r:Q4_0"),
        (["up", "hf:o"], "hf:org/repo:Q4_K_M"),
        (["up", "-hf", "o"], "hf:org/repo:Q4_K_M"),
        (["up", "http://"], "no URL"),
        (["up", "m-00002-of-00003.gguf"], "m-00001-of-00003.gguf"),
        (["status", "-o", "xml"], "xml"),
        (["cache", "rm"], "--all"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert named in err


def test_the_reader_of_our_output_may_leave() -> None:
    script = f"{sys.executable} -m cluster.cli --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def cluster_cli(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "cluster.cli", *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, check=False, timeout=60, **options)


def test_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "wb") as full:
        done = cluster_cli("cache", "ls", stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith(b"cluster: standard output: No space left on device; ")
    assert done.stderr.count(b"\n") == 1


def test_stdin_that_is_no_text_is_one_line() -> None:
    done = cluster_cli("run", "-", input=b"\xff", env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"})
    assert done.returncode == 2
    assert done.stderr.startswith(b"cluster: prompt: stdin is not utf-8 ")
    assert done.stderr.count(b"\n") == 1


def test_no_verb_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert "usage: cluster" in shown
    assert all(verb in shown for verb in ("up", "run", "status", "down"))


@pytest.mark.parametrize("command", [["-m", "cluster"], ["-m", "cluster.cli"]])
def test_the_version_names_what_decides_what_comes_out(command: list[str]) -> None:
    done = subprocess.run([sys.executable, *command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"ggml-cluster {cluster.__version__}, llama-cpp-python ")
    assert ", ray " in done.stdout


def test_every_synonym_leads_to_a_verb_that_is_there() -> None:
    verbs = set(verb_parsers(build_parser()))
    assert set(SYNONYMS.values()) <= verbs | {"--help", "--version"}
    assert not set(SYNONYMS) & verbs

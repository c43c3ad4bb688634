"""`cluster --help` and wrong flags answer without loading what only the verbs need."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cluster.cli import main

HEAVY = ("ray", "grpc", "numpy", "google.protobuf", "worker_native", "llama_cpp")
SHOW_HEAVY = (
    f"import sys; loaded = [name for name in {HEAVY!r} if name in sys.modules]; sys.exit(str(loaded) if loaded else 0)"
)


@pytest.mark.parametrize("arguments", [["--help"], ["up", "--help"], ["run", "--help"], ["cache", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    script = f"""
import contextlib, io
from cluster.cli import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main({arguments!r})
{SHOW_HEAVY}
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "VERB"),
        (["frobnicate"], "frobnicate"),
        (["run"], "prompt"),
        (["run", "x", "--temp", "hot"], "--temp"),
        (["up", "--demo", "--stages", "two"], "--stages"),
        (["up", "model.gguf", "--demo"], "--demo"),
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

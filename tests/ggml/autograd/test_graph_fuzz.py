"""Random graphs with backward: PyTorch's values and gradients or a typed error, and never an abort.

They run in child processes, so that an abort is a failure of this test, which names its seed.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")


def run(first: int, count: int) -> dict[str, int]:
    """How many graphs came out how."""
    command = [sys.executable, "-m", "tests.ggml.autograd.graph_fuzz", str(first), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    lines = done.stdout.splitlines()
    last = next((line for line in reversed(lines) if line.startswith("seed ")), "no seed")
    rest = "\n".join(line for line in lines if not line.startswith("seed "))
    assert done.returncode == 0, f"exit {done.returncode} at {last}\n{rest[-4000:]}\n{done.stderr[-2000:]}"
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", lines[-1])}


def test_random_graphs() -> None:
    counts = run(0, 200)
    assert counts["equal"] > 120, "most of them have to be compared"
    assert counts.get("refused", 0) < 30


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 6000, 500))
def test_many_random_graphs(first: int) -> None:
    assert run(first, 500)["equal"] > 300

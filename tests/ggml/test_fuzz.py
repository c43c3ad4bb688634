"""Random calls with random, also invalid, arguments: PyTorch's result or a typed error, and never an abort.

They run in a child process, so that an abort is a failure of this test and not the end of it.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

NUM_CALLS = int(os.environ.get("GGML_FUZZ_CALLS", "2000"))


@pytest.mark.parametrize("seed", [1, 2])
def test_random_calls(seed: int) -> None:
    command = [sys.executable, "-m", "tests.ggml.fuzz", str(seed), str(NUM_CALLS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"

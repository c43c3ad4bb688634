"""Programs on another device. ggml ends the process when an RPC server goes away: the cases of rpc_cases.py run in a
process of their own, which ends before the server does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ggml
from tests.ggml.backend.rpc import server
from tests.ggml.programs.test_files import scaled

CASES = Path(__file__).parent / "rpc_cases.py"


@pytest.mark.slow
def test_programs_on_a_second_device() -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")
    from worker_native import build

    if "RPC" not in build():
        pytest.skip("this ggml was built without RPC")
    with server() as endpoint:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--show-capture=no", str(CASES)]
        environment = {**os.environ, "GGML_RPC_ENDPOINT": endpoint}
        done = subprocess.run(command, env=environment, timeout=300, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "passed" in done.stdout


def test_devices_that_are_not_here(tmp_path: Path) -> None:
    program = scaled()
    assert program.to("cpu") is program
    assert str(program.device) == "cpu"
    with pytest.raises(ggml.ArgumentError, match="is not here"):
        program.to("cuda:7")
    program.save(tmp_path / "model.ggp")
    with pytest.raises(ggml.ArgumentError, match="is not here"):
        ggml.load_program(tmp_path / "model.ggp", device="cuda:7")
    assert ggml.load_program(tmp_path / "model.ggp", device="cpu").device.is_cpu

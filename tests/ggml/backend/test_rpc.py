"""Graphs over two devices. ggml registers a device for good, and ends the process when its server goes away: the
cases of rpc_cases.py run in a process of their own, which ends before the server does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ggml.backend.rpc import server

CASES = Path(__file__).parent / "rpc_cases.py"


def test_two_devices() -> None:
    try:
        from worker_native import build
    except ImportError:
        pytest.skip("the extension is not built")
    if "RPC" not in build():
        pytest.skip("this ggml was built without RPC")
    with server() as endpoint:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CASES)]
        environment = {**os.environ, "GGML_RPC_ENDPOINT": endpoint}
        done = subprocess.run(command, env=environment, timeout=300, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "passed" in done.stdout

"""A second device on any machine: ggml's RPC server in a child process, on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

TIMEOUT_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server() -> Iterator[str]:
    """The endpoint of a server that is ready; the child is ended with the block."""
    endpoint = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "ggml.backend.rpc", endpoint]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    try:
        _wait(child, endpoint)
        yield endpoint
    finally:
        child.terminate()
        child.wait(TIMEOUT_S)


def _wait(child: subprocess.Popen[bytes], endpoint: str) -> None:
    host, port = endpoint.split(":")
    deadline_s = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline_s:
        if child.poll() is not None:
            raise RuntimeError(f"the RPC server ended with {child.returncode}")
        try:
            socket.create_connection((host, int(port)), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the RPC server does not listen")

"""A stage whose process ends while it loads says by what, and Ray's own words stay off the terminal."""

from __future__ import annotations

import os
import signal
import time

import pytest

from cluster.node.processes import marked_pids
from tests.conftest import CliHome
from tests.proc import shown

pytestmark = pytest.mark.ray

WAIT_S = 120.0


def loading_stage(home: CliHome) -> int:
    """The process of a stage that has begun to load: it has mapped the page for its last words."""
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s:
        instance = str(home.state()["instance"]) if home.state_file.exists() else ""
        for pid in marked_pids(instance) if instance else ():
            if b"/ggml-cluster-words-" in shown(pid, "maps"):
                return pid
        time.sleep(0.005)
    raise AssertionError("no stage began to load")


def test_a_stage_that_dies_while_it_loads_says_of_what(cli_home: CliHome) -> None:
    up = cli_home.start("up", "--demo", "--stages", "2")
    os.kill(loading_stage(cli_home), signal.SIGSEGV)
    said, told = up.communicate(timeout=WAIT_S)
    assert up.returncode == 4
    (line,) = (line for line in told.splitlines() if line.startswith("cluster: "))
    assert "its process died while loading: SIGSEGV" in line
    assert line.endswith("; see what cluster doctor says of the model")
    assert (said, "\x1b" in told) == ("", False)
    assert not cli_home.state_file.exists()

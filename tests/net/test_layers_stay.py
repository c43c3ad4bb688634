"""A machine loses its power: the layers of the others stay where they are, and processes too where one is idle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.net.conftest import CONTEXT, made_hosts
from tests.net.hosts import Host
from tests.net.test_join_refused import JOIN_PORT, new_token
from tests.net.test_repair import check_done, talks
from tests.net.together import Together

pytestmark = pytest.mark.slow

JOIN_TIMEOUT_S = 120.0
# Cut by hand, so that what this machine measures while it is busy decides nothing.
FLAGS = ("--layers", "0-2,3-5,6-7", "-c", str(CONTEXT), "-t", "1", "--patience", "4m")
STAGES = "answer = [[stage.node, stage.first, stage.end] for stage in client.status().stages]"


def pids(host: Host, *actors: str) -> set[int]:
    """The processes of these actors there."""
    return {pid for pid in host.pids() if any(f"ray::{actor}" in command(pid) for actor in actors)}


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def without_power(together: Together, number: int) -> tuple[Any, str]:
    """Where the layers are after a repair, while streams run, and what was said of it."""
    running = talks(together)
    together.hosts[number].power_off()
    repaired = together.head.run("cluster", "up")
    assert repaired.returncode == 0, repaired.stderr
    check_done(running)
    return together.ask(STAGES), repaired.stderr


def test_survivors_keep_their_layers(tmp_path: Path) -> None:
    """First an idle machine takes the place of the lost one, then a neighbour, since there is no other."""
    with made_hosts(tmp_path, 4) as hosts:
        together = Together.start(hosts, "--demo", *FLAGS)
        one, three, four = hosts[1], hosts[3], hosts[4]
        assert together.ask(STAGES) == [["one", 0, 3], ["three", 3, 6], ["two", 6, 8]]
        told = ("--token", new_token(together).text)
        together.joins[4] = four.start("cluster", "join", f"one:{JOIN_PORT}", *told)
        together.joins[4].wait_for("joined", JOIN_TIMEOUT_S)
        before = pids(one, "StageWorker", "Coordinator"), pids(three, "StageWorker")
        assert [len(found) for found in before] == [2, 1]

        # By name, node four would come before node three.
        stages, said = without_power(together, 2)
        assert stages == [["one", 0, 3], ["three", 3, 6], ["four", 6, 8]], said
        assert "kept 6 of 8 layers where they were" in said
        assert (pids(one, "StageWorker", "Coordinator"), pids(three, "StageWorker")) == before, (
            "they keep their weights"
        )

        stages, said = without_power(together, 3)
        assert stages == [["one", 0, 3], ["one", 3, 6], ["four", 6, 8]], said
        assert "kept 5 of 8 layers where they were" in said
        together.down()

"""An agent answers for its machine, without Ray."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.actors.nodes.agent import NodeAgent
from cluster.actors.ray_side.start.environment import HOME
from cluster.api.errors import ClusterError
from cluster.node.processes import MARK
from cluster.node.secret import Secret, write_secret

# Changes its title as Ray's processes do, and waits.
LEFT_BEHIND = "import os, sys; os.execv('/bin/sh', ['ray::StageWorker', '-c', 'echo; read line'])"


@pytest.fixture
def agent() -> NodeAgent:
    return NodeAgent("one", "127.0.0.1")


def test_it_surveys_its_machine_by_the_name_that_it_was_given(agent: NodeAgent) -> None:
    facts = agent.facts()
    assert (facts.name, facts.host) == ("one", "127.0.0.1")
    assert facts.num_cores == len(os.sched_getaffinity(0))
    assert agent.free_store_bytes() > 0


def test_links_are_measured_between_agents(agent: NodeAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClusterError, match="one: its Ray was not started by us"):
        agent.home()
    tmp_path.chmod(0o700)
    write_secret(tmp_path / "secret", Secret.new())
    monkeypatch.setenv(HOME, str(tmp_path))
    assert agent.home() == str(tmp_path)
    number, address = agent.start_echo()
    try:
        assert NodeAgent("two", "127.0.0.1").measure_link(address, "one").round_trip_s > 0
    finally:
        agent.end_echo(number)
        agent.end_echo(number)  # again: it is gone already


def test_what_ray_has_forgotten_is_ended(agent: NodeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = f"orphans-{os.getpid()}"
    monkeypatch.setenv(MARK, instance)
    lost, known = (
        subprocess.Popen([sys.executable, "-c", LEFT_BEHIND], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    )
    try:
        for process in (lost, known):
            assert process.stdout is not None
            process.stdout.readline()
        assert agent.end_orphans(frozenset({known.pid})) == 1
        assert lost.wait(10) != 0
        assert known.poll() is None
        monkeypatch.setenv(MARK, "")
        assert agent.end_orphans(frozenset()) == 0
    finally:
        for process in (lost, known):
            process.kill()
            process.communicate()

"""What a stranger can reach of a cluster is what docs/machines.md says, and it withstands all that they send."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import pytest

from cluster.node.port_plan import PortPlan
from tests.net import portscan
from tests.net.hosts import PROJECT, Host
from tests.net.listeners import Listener, listeners
from tests.net.together import Together

PLAN = PortPlan()
MAX_WRITTEN_BYTES = 2**20
SAY = "answer = client.generate('Once upon a time', temperature=0.0, max_tokens=32).text"
ROW = re.compile(r"\| (\d{4}(?:(?:, |-)\d{4})*) \| ([^|]+) \| ([^|]+) \| [^|]+ \|")


@dataclass(frozen=True)
class Documented:
    """A row of the table of ports."""

    ports: frozenset[int]
    where: str
    what: str

    @property
    def is_rays(self) -> bool:
        return "Ray" in self.what

    @property
    def is_one(self) -> bool:
        """One port that is always open, not a range of which some are."""
        return len(self.ports) == 1


def documented() -> list[Documented]:
    rows = []
    for ports, where, what in ROW.findall((PROJECT / "docs" / "machines.md").read_text()):
        numbers: set[int] = set()
        for part in ports.split(", "):
            first, _, last = part.partition("-")
            numbers |= {*range(int(first), int(last or first) + 1)}
        rows.append(Documented(frozenset(numbers), where.strip(), what.strip()))
    assert rows
    return rows


def exposed(host: Host) -> list[Listener]:
    """What others can reach."""
    return [each for each in listeners(host.machine.pid, host.pids()) if not each.is_loopback]


def test_every_listener_is_documented(three_hosts_up: Together) -> None:
    rows = documented()
    assert {port for row in rows for port in row.ports} == {*range(PLAN.first, PLAN.workers.stop)}
    first = three_hosts_up.ask("answer = client.status().stages[0].node")
    for host in three_hosts_up.nodes:
        roles = {"each", "head" if host is three_hosts_up.head else "each that joined"}
        roles |= {"node of the first stage"} if host.name == first else set()
        mine = [row for row in rows if row.where in roles]
        for each in exposed(host):
            assert each.protocol == "tcp", each
            row = next((row for row in mine if each.port in row.ports), None)
            assert row is not None, each
            # Ray listens on every address, whatever it is told.
            assert each.address == host.address or row.is_rays, each
        open_ports = {each.port for each in exposed(host)}
        assert open_ports >= {port for row in mine if row.is_one for port in row.ports}


def written_bytes(host: Host) -> int:
    """All files that its processes write, but the one of Ray's agent that answers strangers with tracebacks."""
    files = [path for path in host.disk.rglob("*") if path.is_file() and path.name != "runtime_env_agent.err"]
    return sum(path.stat().st_size for path in files)


@pytest.mark.parametrize("count", [100, pytest.param(10_000, marks=pytest.mark.slow)])
def test_hostile_connections_hurt_nobody(three_hosts_up: Together, count: int) -> None:
    before = {host.number: {*host.pids()} for host in three_hosts_up.nodes}
    text = three_hosts_up.ask(SAY)
    written = {host.number: written_bytes(host) for host in three_hosts_up.nodes}
    targets = [f"{host.address}:{each.port}" for host in three_hosts_up.nodes for each in exposed(host)]
    enemy = three_hosts_up.hosts[5]
    scanning = enemy.start("python", "-I", portscan.__file__, str(count), *targets)
    assert three_hosts_up.ask(SAY) == text, "meanwhile"
    assert scanning.wait(1200) == 0, scanning.err
    said = json.loads(scanning.out)
    # They were really there.
    assert all(counts["noise"]["connected"] > 0 for counts in said.values()), said
    assert three_hosts_up.ask(SAY) == text
    for host in three_hosts_up.nodes:
        assert before[host.number] <= {*host.pids()}, three_hosts_up.told()
        assert written_bytes(host) < written[host.number] + MAX_WRITTEN_BYTES, "strangers fill the disk"

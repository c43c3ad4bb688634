"""Machines join over a real network, on which addresses are apart and change, and cables are pulled."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cluster.node.port_plan import PortPlan
from tests.net import lone_head
from tests.net.hosts import PROJECT, Host, Hosts
from tests.net.running import Running

JOIN = """
import pathlib, sys
from cluster.api.errors import ClusterError
from cluster.membership.joining import join
from cluster.membership.returning import members_of, register
from cluster.trust.join_string import JoinString
address, token, name, *host = sys.argv[1:]
try:
    home = join(pathlib.Path("/tmp/state", name), address, JoinString.of_text(token), name, *host)
    register(home)
    with members_of(home) as members:
        print("joined", home.host, members.confirm(5).summary)
except ClusterError as error:
    sys.exit(str(error))
"""
MOVE = """
import pathlib, sys
from cluster.membership.returning import register, renew_if_due
from cluster.node.home import read_home
home = renew_if_due(read_home(pathlib.Path("/tmp/state", sys.argv[1])), *sys.argv[2:])
register(home)
print("is at", home.host)
"""


@dataclass
class Door:
    """A head that lets machines join, on the first host."""

    hosts: Hosts
    running: Running
    num_tokens: int = 0

    def token(self) -> str:
        self.running.say("")
        self.num_tokens += 1
        return self.running.wait_for(f"token-{self.num_tokens - 1} ", 10).split()[1]

    def join(self, host: Host, *arguments: str, head: str = "") -> tuple[str, float]:
        """What a machine that joins says, and how long it took in seconds."""
        address = f"{head or self.hosts[1].address}:{PortPlan().join}"
        began_s = time.monotonic()
        done = host.python("-c", JOIN, address, self.token(), *arguments)
        return (done.stdout or done.stderr).strip(), time.monotonic() - began_s


@pytest.fixture
def door(hosts: Hosts) -> Iterator[Door]:
    yield from _door(hosts, hosts[1].address)


@pytest.fixture
def door_6(hosts: Hosts) -> Iterator[Door]:
    yield from _door(hosts, hosts[1].address_6)


def _door(hosts: Hosts, address: str) -> Iterator[Door]:
    arguments = (sys.executable, lone_head.__file__, address, str(PortPlan().first))
    running = hosts[1].start(*arguments, PYTHONPATH=str(PROJECT))
    try:
        running.wait_for("open", 30)
        yield Door(hosts, running)
    finally:
        running.end()


def test_a_node_has_the_address_from_which_it_reaches_the_head(door: Door) -> None:
    said, took_s = door.join(door.hosts[2], "two")
    assert said == "joined 10.77.0.2 two: 4 cores"
    assert took_s < 10


def test_over_ipv6(door_6: Door) -> None:
    said, _ = door_6.join(door_6.hosts[2], "two", head=f"[{door_6.hosts[1].address_6}]")
    assert said == "joined fd77::2 two: 4 cores"


def test_by_the_head_s_name(door: Door) -> None:
    assert door.join(door.hosts[3], "three", head="one")[0] == "joined 10.77.0.3 three: 4 cores"


def test_a_name_that_the_machine_knows_needs_no_dns_server(door: Door) -> None:
    """None answers on these hosts."""
    script = """
import cluster
from cluster.api.errors import UnreachableError
try:
    cluster.connect("one:9", secret="00" * 32).status()
except UnreachableError as error:
    print(error)
"""
    began_s = time.monotonic()
    assert "Connection refused" in door.hosts[2].python("-c", script).stdout
    assert time.monotonic() - began_s < 8


def test_an_address_of_another_net_is_told(door: Door) -> None:
    node = door.hosts[2]
    node.machine.ip("addr", "add", "10.99.0.2/24", "dev", "lo")
    try:
        said, took_s = door.join(node, "apart", "10.99.0.2")
    finally:
        node.machine.ip("addr", "del", "10.99.0.2/24", "dev", "lo")
    assert said.startswith("the head cannot reach this machine at 10.99.0.2")
    assert took_s < 12


def test_a_head_that_is_cut_off_is_told_within_seconds(door: Door) -> None:
    with door.hosts[1].cut_off():
        said, took_s = door.join(door.hosts[2], "two")
    assert said.startswith(f"10.77.0.1 port {PortPlan().join}: no answer within 5 s")
    assert took_s < 12


def test_a_port_where_nobody_is_is_told_at_once(door: Door) -> None:
    said, took_s = door.join(door.hosts[2], "two", head=door.hosts[3].address)
    assert said.startswith(f"10.77.0.3 port {PortPlan().join}: Connection refused; see that cluster up runs there")
    assert took_s < 5


def test_a_node_whose_address_has_changed_takes_part_without_a_token(door: Door) -> None:
    node = door.hosts[2]
    assert door.join(node, "mover")[0].startswith("joined 10.77.0.2")
    node.machine.ip("addr", "del", f"{node.address}/24", "dev", "eth0")
    node.machine.ip("addr", "add", "10.77.0.200/24", "dev", "eth0")
    try:
        # It lives by the old address, as far as the head knows.
        moved = node.python("-c", MOVE, "mover")
    finally:
        node.machine.ip("addr", "del", "10.77.0.200/24", "dev", "eth0")
        node.link_down()
        node.link_up()
    assert moved.stdout == "is at 10.77.0.200\n", moved.stderr

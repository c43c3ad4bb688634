"""Every kind of listener is seen, with its owner, as ``ss`` sees it."""

from __future__ import annotations

import shutil
import sys

import pytest

from tests.net.hosts import Host, Hosts
from tests.net.listeners import Listener, listeners
from tests.net.running import Running

LISTEN = """
import socket, sys, time
kept = [socket.create_server(("127.0.0.1", 9101)), socket.create_server((sys.argv[1], 9102)),
        socket.create_server(("", 9103)), socket.create_server(("::1", 9104), family=socket.AF_INET6),
        socket.create_server(("::", 9105), family=socket.AF_INET6),
        socket.socket(type=socket.SOCK_DGRAM)]
kept[-1].bind(("", 9106))
connection = socket.create_connection(("127.0.0.1", 9101))
print("listens", flush=True)
time.sleep(60)
"""


def started(host: Host) -> Running:
    running = host.start(sys.executable, "-c", LISTEN, host.address)
    running.wait_for("listens", 10)
    return running


def test_addresses_ports_and_owners(hosts: Hosts) -> None:
    one = hosts[1]
    running = started(one)
    found = listeners(one.machine.pid, one.pids())
    assert [(each.protocol, each.address, each.port) for each in found] == [
        ("tcp", "127.0.0.1", 9101),
        ("tcp", one.address, 9102),
        ("tcp", "0.0.0.0", 9103),
        ("tcp", "::1", 9104),
        ("tcp", "::", 9105),
        ("udp", "0.0.0.0", 9106),
    ]
    assert {each.pid for each in found} == {running.pid}
    assert all("create_server" in each.command for each in found)
    assert [each.port for each in found if each.is_loopback] == [9101, 9104]
    running.end()
    assert listeners(one.machine.pid, one.pids()) == []
    assert listeners(hosts[2].machine.pid, hosts[2].pids()) == []


def test_ss_sees_the_same(hosts: Hosts) -> None:
    if shutil.which("ss") is None:
        pytest.skip("ss: not installed (iproute2)")
    one = hosts[1]
    running = started(one)
    shown = [line.split()[3].rpartition(":") for line in one.run("ss", "-Hlnt").stdout.splitlines()]
    said = {(address.strip("[]").replace("*", "::"), int(port)) for address, _, port in shown}
    tcp: list[Listener] = [each for each in listeners(one.machine.pid, one.pids()) if each.protocol == "tcp"]
    assert said == {(each.address, each.port) for each in tcp}
    running.end()

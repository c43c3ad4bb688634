"""The line through the proxy is as slow, and breaks when, as it was told."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.net import delay_proxy
from tests.net.hosts import Hosts
from tests.net.running import Running

DELAY_S = 0.1
# Sends back what it hears.
ECHO = """
import socket, threading
def serve(connection):
    try:
        while data := connection.recv(2**16):
            connection.sendall(data)
    except OSError:
        pass
    connection.close()
with socket.create_server(("", 9300)) as server:
    print("listens", flush=True)
    while True:
        threading.Thread(target=serve, args=[server.accept()[0]]).start()
"""
# For each line of stdin: how long its echo took in seconds, or how it failed.
ASK = """
import socket, sys, time
try:
    with socket.create_connection(("two", 9301), timeout=1) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print("connected", flush=True)
        for line in sys.stdin:
            size, start, heard = int(line), time.monotonic(), 0
            connection.sendall(bytes(size))
            while heard < size:
                got = connection.recv(2**16)
                if not got:
                    raise ConnectionError("closed")
                heard += len(got)
            print(size, "took", round(time.monotonic() - start, 3), flush=True)
except OSError as error:
    print("failed:", type(error).__name__, flush=True)
"""


@pytest.fixture
def proxy(hosts: Hosts) -> Iterator[Running]:
    """On host two; the echo is on host one."""
    echo = hosts[1].start(sys.executable, "-c", ECHO)
    echo.wait_for("listens", 10)
    proxy = hosts[2].start(sys.executable, "-I", delay_proxy.__file__, "two:9301", "one:9300", str(DELAY_S))
    proxy.wait_for("ready", 10)
    yield proxy
    proxy.end()
    echo.end()


def told(proxy: Running, order: str) -> None:
    before = proxy.out.count("ok")
    proxy.say(order)
    while proxy.out.count("ok") == before:
        assert proxy.returncode is None, proxy.err


def asking(hosts: Hosts) -> Running:
    return hosts[3].start(sys.executable, "-c", ASK)


def test_each_way_takes_as_long_as_it_was_told(hosts: Hosts, proxy: Running) -> None:
    ask = asking(hosts)
    for size, delay_s in ((1, DELAY_S), (1_000_000, DELAY_S), (2, 0.0)):
        told(proxy, f"delay {delay_s}")
        ask.say(str(size))
        took_s = float(ask.wait_for(f"{size} took", 10).split()[-1])
        assert 2 * delay_s <= took_s < 2 * delay_s + 0.5
    ask.end()


def test_a_host_can_be_far_away(hosts: Hosts) -> None:
    """Its programs know nothing of a proxy."""
    hosts[3].skip_without_filter("nat")
    echo = hosts[2].start(sys.executable, "-c", ECHO.replace("9300", "9301"))
    echo.wait_for("listens", 10)
    with hosts[3].delayed(DELAY_S) as proxy:
        far = asking(hosts)
        for size, delay_s in ((1, DELAY_S), (100_000, DELAY_S), (2, 0.0)):
            told(proxy, f"delay {delay_s}")
            far.say(str(size))
            took_s = float(far.wait_for(f"{size} took", 10).split()[-1])
            assert 2 * delay_s <= took_s < 2 * delay_s + 0.5
        far.end()
    near = asking(hosts)
    near.say("3")
    assert float(near.wait_for("3 took", 10).split()[-1]) < DELAY_S
    near.end()
    echo.end()


def test_held_bytes_pass_later(hosts: Hosts, proxy: Running) -> None:
    ask = asking(hosts)
    ask.wait_for("connected", 10)
    told(proxy, "hold")
    ask.say("10")
    ask.wait_for("failed: TimeoutError", 10)
    told(proxy, "go")
    again = asking(hosts)
    again.say("10")
    again.wait_for("10 took", 10)
    again.end()


def test_connections_are_dropped_and_refused(hosts: Hosts, proxy: Running) -> None:
    ask = asking(hosts)
    ask.say("5")
    ask.wait_for("5 took", 10)
    told(proxy, "refuse")
    told(proxy, "drop")
    ask.say("6")
    ask.wait_for("failed: Connection", 10)
    refused = asking(hosts)
    refused.say("7")
    refused.wait_for("failed: Connection", 10)
    told(proxy, "accept")
    again = asking(hosts)
    again.say("8")
    again.wait_for("8 took", 10)
    again.end()

"""A scan makes as many connections as it says, of every kind."""

from __future__ import annotations

import json
import sys

from tests.net import portscan
from tests.net.hosts import Hosts

# Counts who comes, and answers whoever says anything.
COUNT = """
import socket, threading
def serve(connection):
    try:
        if connection.recv(1000):
            connection.sendall(b"what?")
    except OSError:
        pass
    connection.close()
with socket.create_server(("", 9200), backlog=1000) as server:
    print("listens", flush=True)
    number = 0
    while True:
        connection, _ = server.accept()
        number += 1
        print(number, "came", flush=True)
        threading.Thread(target=serve, args=[connection]).start()
"""


def test_every_kind_comes_as_often(hosts: Hosts) -> None:
    one, two = hosts[1], hosts[2]
    counting = one.start(sys.executable, "-c", COUNT)
    counting.wait_for("listens", 10)
    target = f"{one.address}:9200"
    done = two.python("-I", portscan.__file__, "500", target)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)[target]
    assert set(said) == set(portscan.SAID)
    assert {counts["connected"] for counts in said.values()} == {500 // len(portscan.SAID)}
    silent = {"silence", "reset"}
    assert {kind for kind, counts in said.items() if counts["answered"] == 0} == silent
    counting.wait_for("500 came", 10)
    counting.end()


def test_a_closed_port_is_reported_as_such(hosts: Hosts) -> None:
    target = f"{hosts[1].address}:9201"
    done = hosts[2].python("-I", portscan.__file__, "50", target)
    said = json.loads(done.stdout)[target]
    assert all(counts == {"connected": 0, "answered": 0} for counts in said.values())

"""Why `ray start` failed, in one line."""

from __future__ import annotations

import socket

import pytest

from cluster.actors.ray_side.start.arguments import LABEL, check_ports, node_ports, shared_arguments
from cluster.actors.ray_side.start.command import last_logged, why_failed
from cluster.api.errors import UsageError
from cluster.node.home import NodeRecord
from cluster.node.port_plan import PortPlan

UNAUTHENTICATED = """\
[2026-11-28 08:44:32,613 W 7136 7136] gcs_client.cc:210: Failed to get cluster ID from GCS server: Unauthenticated
Traceback (most recent call last):
  File "ray/_private/node.py", line 1652, in start_head_processes
RuntimeError: Failed to connect to GCS. Last connection error: Traceback (most recent call last):
  File "python/ray/_raylet.pyx", line 1, in ray._raylet.check_status
ray.exceptions.AuthenticationError: RPC error: InvalidAuthToken: Authentication token is missing or incorrect. Ensure \
that the token for the cluster is available in a local file.

"""
NO_ANSWER = """\
[2026-11-28 08:54:07,676 W 8133 8133] gcs_client.cc:210: Failed to get cluster ID from GCS server: TimedOut.
[2026-11-28 08:54:13,681 W 8133 8133] rpc_client.h:153: Failed to connect to GCS at address 10.0.0.1:8471 within 5 s.
"""


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (UNAUTHENTICATED, "RPC error: InvalidAuthToken: Authentication token is missing or incorrect"),
        (
            "ConnectionError: Ray is trying to start at 10.0.0.1:1, but is already running. Please specify another.",
            "Ray is trying to start at 10.0.0.1:1, but is already running",
        ),
        (NO_ANSWER, "Failed to connect to GCS at address 10.0.0.1:8471 within 5 s"),
        ("ValueError: a \x1b[2J b", "a \\x1b[2J b"),
        ("something else\n", "something else"),
        ("\n", "no output"),
    ],
)
def test_ray_says_why_among_much_else(output: str, reason: str) -> None:
    assert why_failed(output) == reason


def test_only_what_ended_it_is_taken_from_a_log() -> None:
    log = "[2026-11-28 08:54:13,681 E 1 1] (raylet) main.cc:7: no room.\n[2026-11-28 08:54:14,0 I 1 1] x.cc:1: bye\n"
    assert last_logged(log, "ECF") == "no room"
    assert last_logged("plain text\n") == ""


def test_every_port_of_a_node_is_one_of_its_plan() -> None:
    ports = PortPlan(20000)
    arguments = shared_arguments(NodeRecord("two", "abcdefghij", "10.0.0.2", ports.first, True, "10.0.0.1"), 4)
    told = {
        name: int(value) for name, _, value in (argument.partition("=") for argument in arguments) if "port" in name
    }
    assert f"--labels={LABEL}=two" in arguments
    assert set(range(told.pop("--min-worker-port"), told.pop("--max-worker-port") + 1)) < set(ports.workers)
    assert len(set(told.values())) == len(told) == 6
    assert {told["--node-manager-port"], told["--object-manager-port"], told["--runtime-env-agent-port"]} == set(
        node_ports(ports)
    )
    assert all(port in ports.workers or port in node_ports(ports) for port in told.values())


def test_a_port_that_is_in_use_is_told_before_ray_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} on 127.0.0.1: cannot listen: Address already in use"):
            check_ports("127.0.0.1", (port,))


def test_a_port_of_another_address_is_in_use_too_since_ray_listens_at_all() -> None:
    with socket.create_server(("127.0.0.3", 0)) as taken, pytest.raises(UsageError, match="cannot listen"):
        check_ports("127.0.0.1", (taken.getsockname()[1],))

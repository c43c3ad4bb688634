"""Ports: can the loopback be listened on, is the asked one free, does the cluster that is up answer on its own."""

from __future__ import annotations

import socket

from cluster.api.errors import UsageError
from cluster.doctor.check import Check, fail, ok, read_text, warn
from cluster.wire.transport.channel import check_port_free

LOOPBACK = "127.0.0.1"
RAY_WORKER_PORTS = range(10002, 20000)
MIN_EPHEMERAL = 1000


def check_ports(port: int, address: str) -> list[Check]:
    """`port`: what the cluster would listen on, 0 for a free one; `address`: where one listens already, or empty."""
    checks = [_ephemeral(read_text("/proc/sys/net/ipv4/ip_local_port_range"))]
    if address:
        return [*checks, _answers(address)]
    try:
        check_port_free(LOOPBACK, port)
    except UsageError as error:
        return [*checks, fail("port", str(error), f"see who has it: ss -ltnp 'sport = :{port}'")]
    if port in RAY_WORKER_PORTS:
        return [*checks, warn("port", f"{port} is among Ray's worker ports", "take one outside of 10002-19999")]
    return [*checks, ok("port", f"{port} is free" if port else "a free one will be taken")]


def _ephemeral(port_range: str) -> Check:
    """Ray and gRPC take ports of their own from the system's range."""
    found = port_range.split()
    if len(found) == 2 and int(found[1]) - int(found[0]) < MIN_EPHEMERAL:
        return warn(
            "free ports",
            f"the system gives out {found[0]}-{found[1]} only",
            "widen it: sysctl net.ipv4.ip_local_port_range='32768 60999'",
        )
    return ok("free ports", "-".join(found) if found else "as the system has them")


def _answers(address: str) -> Check:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=2):
            return ok("port", f"the cluster listens on {address}")
    except (OSError, ValueError) as error:
        return fail("port", f"nothing answers on {address} ({error})", "run cluster up to repair")

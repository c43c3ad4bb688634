"""This machine as a node of several: its certificate, and whether the others and it believe and reach each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cluster.api.errors import ClusterError
from cluster.doctor.check import Check, fail, ok
from cluster.membership.preflight import check_own, check_tls
from cluster.membership.returning import members_of
from cluster.messages.membership import ListedNode
from cluster.node.home import Home, read_home
from cluster.trust.identity import head_server_name, server_name

MAX_LOOKED_AT = 32  # nodes; each that does not answer takes five seconds


def check_nodes(folder: Path) -> Iterator[Check]:
    """Line by line; none on a machine that is no node. `folder`: its home."""
    try:
        home = read_home(folder)
    except ClusterError as error:
        yield _failed("node", error)
        return
    record = home.record
    if record is None:
        return
    try:
        certificate = check_own(home)
    except ClusterError as error:
        yield _failed("certificate", error)
        return
    until = f"{datetime.fromtimestamp(certificate.end_s, UTC):%Y-%m-%d}"
    yield ok("certificate", f"node {record.name} of cluster {record.cluster_id} at {record.host}, until {until}")
    ports, head = record.ports, record.head_host
    yield _looked("head", lambda: check_tls(home, head, ports.members, head_server_name(record.cluster_id)))
    if record.is_secure:
        yield _looked("head's Ray", lambda: check_tls(home, head, ports.gcs))
    yield from _neighbours(home)


def _neighbours(home: Home) -> Iterator[Check]:
    """The other nodes that take part, each at the port that it answers its head at."""
    assert home.record is not None
    record = home.record
    try:
        with members_of(home) as members:
            listed = members.nodes().nodes
    except ClusterError as error:
        yield _failed("nodes", error)
        return

    def look(node: ListedNode) -> None:
        check_tls(home, node.host, record.ports.node, server_name(node.name, record.cluster_id))

    others = [node for node in listed if node.is_alive and node.name != record.name]
    for node in others[:MAX_LOOKED_AT]:
        yield _looked(f"node {node.name}", partial(look, node))


def _looked(name: str, look: Callable[[], None]) -> Check:
    start_s = time.perf_counter()
    try:
        look()
    except ClusterError as error:
        return _failed(name, error)
    return ok(name, f"both believe each other; met in {1e3 * (time.perf_counter() - start_s):.0f} ms")


def _failed(name: str, error: ClusterError) -> Check:
    found, _, advice = str(error).rpartition("; ")
    return fail(name, found, advice)

"""Ports for members speak to members only: by certificate, whatever address a peer comes from."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from cluster.node.port_plan import PortPlan
from cluster.trust.authority import Authority
from cluster.trust.kept_authority import read_authority
from cluster.trust.node_key import new_key, signing_request
from tests.net import false_head, mtls_probe
from tests.net.hosts import Host
from tests.net.listeners import listeners
from tests.net.together import Together

PLAN = PortPlan()
YEARS_S = 3 * 365 * 86400.0
# What a certificate alone does not allow. The enemy is who the arguments say.
TRY = """
import sys
from pathlib import Path
from cluster.api.errors import ClusterError
from cluster.membership.versions import this_version
from cluster.messages.membership import RegisterRequest
from cluster.trust.identity import Identity
from cluster.wire.membership.attendant import AttendantClient
from cluster.wire.membership.members import MembersClient
name, cluster_id, own, head, node = sys.argv[1:]
identity = Identity(name, cluster_id, *(Path(file).read_bytes() for file in ("ca", "crt", "key")))
def attempt(what, act):
    try:
        print(what, "worked", act())
    except ClusterError as error:
        print(what, "refused:", error)
with MembersClient(head, identity) as members:
    attempt("register", lambda: members.register(RegisterRequest(own, this_version())))
    attempt("leave", lambda: members.leave("malice"))
    attempt("nodes", lambda: members.nodes())
with AttendantClient(node, "two", identity) as attendant:
    attempt("end", lambda: attendant.end("malice"))
"""
# Any call of what should be node two's, with the keys of the node that this runs on.
CALL = """
import sys
from pathlib import Path
import grpc
from cluster.node.home import read_home
from cluster.wire.access.keys import keys_of
endpoint = keys_of(read_home(Path("/tmp/state/ggml-cluster"))).endpoint(sys.argv[1], "two")
with endpoint.open_channel() as channel:
    try:
        channel.unary_unary("/ggml_cluster.v1.Stage/Describe")(b"", timeout=10)
    except grpc.RpcError as error:
        print(error.code().name, error.details())
"""


def member_ports(together: Together) -> list[tuple[Host, int]]:
    """Where members speak to each other: those of ours, and Ray's that have TLS."""
    wanted = {PLAN.members, PLAN.node, *PLAN.own, PLAN.gcs, PLAN.node_manager, PLAN.object_manager}
    found = []
    for host in together.nodes:
        open_ports = {each.port for each in listeners(host.machine.pid, host.pids()) if not each.is_loopback}
        found += [(host, port) for port in sorted(open_ports & wanted)]
    return found


@pytest.fixture
def enemy(three_hosts_up: Together) -> Iterator[Host]:
    """Has the certificate of the real authority, which is public, and can reach every port."""
    host = three_hosts_up.hosts[5]
    (host.home / "ca").write_bytes(authority_of(three_hosts_up).certificate_pem)
    yield host
    for name in ("ca", "crt", "key"):
        (host.home / name).unlink(missing_ok=True)


def authority_of(together: Together) -> Authority:
    return read_authority(together.head.state)


def arm(enemy: Host, authority: Authority, name: str, now_s: float) -> None:
    """Give him a certificate of a plain node."""
    key = new_key()
    (enemy.home / "crt").write_bytes(authority.sign(signing_request(key, name), name, [enemy.address], now_s))
    (enemy.home / "key").write_bytes(key)


def spoken_to(together: Together, enemy: Host, *pair: str) -> list[str]:
    """The ports that take the enemy, as he is armed, for one of their own."""
    speak = []
    for host, port in member_ports(together):
        done = enemy.run("python", "-I", mtls_probe.__file__, host.address, str(port), "ca", *pair)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert "CERTIFICATE_VERIFY_FAILED" not in found["said"], f"{host.name}:{port} is of another authority"
        if found["speaks"]:
            speak.append(f"{host.name}:{port}")
    return speak


def test_a_member_is_spoken_to(three_hosts_up: Together, enemy: Host) -> None:
    """The control: the probe comes with what `join` would give him, and all ports speak."""
    arm(enemy, authority_of(three_hosts_up), "five", time.time())
    ports = member_ports(three_hosts_up)
    assert {port for _, port in ports} >= {PLAN.members, PLAN.node}
    assert len([port for _, port in ports if port in PLAN.own]) >= len(three_hosts_up.nodes)
    assert spoken_to(three_hosts_up, enemy, "crt", "key") == [f"{host.name}:{port}" for host, port in ports]


def test_nobody_without_a_certificate(three_hosts_up: Together, enemy: Host) -> None:
    assert spoken_to(three_hosts_up, enemy) == []


def test_nobody_of_another_cluster(three_hosts_up: Together, enemy: Host) -> None:
    """Even if that calls itself by the same id."""
    arm(enemy, Authority.new(authority_of(three_hosts_up).cluster_id, time.time()), "two", time.time())
    assert spoken_to(three_hosts_up, enemy, "crt", "key") == []


def test_nobody_whose_certificate_has_ended(three_hosts_up: Together, enemy: Host) -> None:
    authority = authority_of(three_hosts_up)
    arm(enemy, authority, "two", time.time() - YEARS_S)
    assert spoken_to(three_hosts_up, enemy, "crt", "key") == []


@pytest.mark.parametrize("name", ["five", "two"])
def test_a_certificate_alone_makes_no_member(three_hosts_up: Together, enemy: Host, name: str) -> None:
    """The authority's key was stolen, say: but the head knows whom it has admitted, and by which key."""
    authority = authority_of(three_hosts_up)
    arm(enemy, authority, name, time.time())
    head, node = f"{three_hosts_up.head.address}:{PLAN.members}", f"{three_hosts_up.hosts[2].address}:{PLAN.node}"
    done = enemy.python("-c", TRY, name, authority.cluster_id, enemy.address, head, node)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        [what, "refused:"] for what in ("register", "leave", "nodes", "end")
    ], done.stdout
    assert "ready" in three_hosts_up.head.run("cluster", "status").stdout


def test_a_node_that_poses_as_another_is_not_spoken_to(three_hosts_up: Together, enemy: Host) -> None:
    """With a certificate of the right authority, at the address where another node should be."""
    arm(enemy, authority_of(three_hosts_up), "five", time.time())
    lying = enemy.start("python", "-I", false_head.__file__, enemy.address, str(PLAN.own[0]), "crt", "key")
    lying.wait_for("listens", 10)
    done = three_hosts_up.head.python("-c", CALL, f"{enemy.address}:{PLAN.own[0]}")
    lying.wait_for("heard", 10)
    lying.end()
    assert "UNAVAILABLE" in done.stdout, done.stderr
    assert lying.out.splitlines()[1:] == ["heard "], "nothing, not even the name of a method"

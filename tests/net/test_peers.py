"""Ports for members speak to members only: by certificate, whatever address a peer comes from."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.node.port_plan import PortPlan
from cluster.trust.authority import Authority
from cluster.trust.kept_authority import read_authority
from tests.net import mtls_probe
from tests.net.hosts import Host
from tests.net.listeners import listeners
from tests.net.together import Together

PLAN = PortPlan()
YEARS_S = 3 * 365 * 86400.0


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
    identity = authority.head_identity(name, [enemy.address], now_s)
    write(enemy.home, identity.cert_pem, identity.key_pem)


def write(folder: Path, certificate: bytes, key: bytes) -> None:
    (folder / "crt").write_bytes(certificate)
    (folder / "key").write_bytes(key)


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

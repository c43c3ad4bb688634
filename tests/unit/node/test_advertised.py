"""Which address a machine tells the others."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from cluster.api.errors import UsageError
from cluster.node.advertised import advertised_host, is_own_address, only_one
from cluster.node.interfaces import Interface, interfaces


def on(name: str, address: str) -> Interface:
    return Interface(name, ipaddress.ip_address(address))


LOOPBACK = [on("lo", "127.0.0.1"), on("lo", "::1")]


def test_the_interfaces_of_this_machine_are_those_that_the_kernel_has() -> None:
    names = {name for _, name in socket.if_nameindex()}
    found = interfaces()
    assert on("lo", "127.0.0.1") in found
    assert {interface.name for interface in found} <= names


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("eth0", "10.77.0.1"),
        ("enp3s0", "192.168.1.7"),
        ("wg0", "10.9.0.2"),
        ("eth0", "fd77::1"),
        ("eth0", "2001:db8::1"),
    ],
)
def test_the_only_address_is_taken(name: str, address: str) -> None:
    others = [
        on("docker0", "172.17.0.1"),
        on("veth12", "10.1.1.1"),
        on("eth0", "fe80::1"),
        on("virbr0", "192.168.122.1"),
    ]
    assert str(only_one([*LOOPBACK, *others, on(name, address)])) == address


def test_ipv4_goes_before_ipv6() -> None:
    assert str(only_one([*LOOPBACK, on("eth0", "fd77::1"), on("eth0", "10.77.0.1")])) == "10.77.0.1"


def test_between_several_there_is_no_guess() -> None:
    with pytest.raises(UsageError, match=r"several addresses; give one of 10.0.0.1 \(eth0\), 10.1.0.1 \(eth1\)"):
        only_one([*LOOPBACK, on("eth0", "10.0.0.1"), on("eth1", "10.1.0.1")])
    with pytest.raises(
        UsageError, match=r"no address that other machines could reach; give one of 172.17.0.1 \(docker0\)"
    ):
        only_one([*LOOPBACK, on("docker0", "172.17.0.1")])
    with pytest.raises(UsageError, match="none: this machine has no network"):
        only_one(LOOPBACK)
    with pytest.raises(UsageError, match="no address that other machines could reach"):
        only_one([*LOOPBACK, on("tailscale0", "100.64.0.7")])


@pytest.mark.parametrize("asked", ["127.0.0.1", "localhost", "lo"])
def test_what_is_asked_for_is_taken_if_it_is_ours(asked: str) -> None:
    assert advertised_host(asked) == "127.0.0.1"


@pytest.mark.parametrize("asked", ["192.0.2.1", "no.such.host.invalid", "nosuchif0", "a" * 300, "fe80::1", "\x00"])
def test_what_is_not_ours_is_refused(asked: str) -> None:
    with pytest.raises(UsageError, match=r"^advertise-address: "):
        advertised_host(asked)


def test_which_addresses_this_machine_has() -> None:
    assert is_own_address("127.0.0.1")
    assert is_own_address("127.3.4.5")
    assert not is_own_address("192.0.2.1")
    assert not is_own_address("one")

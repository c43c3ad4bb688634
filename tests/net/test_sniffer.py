"""What is said in clear is heard, wherever it is cut into packets; what is encrypted is not."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.net.hosts import Hosts
from tests.net.sniffer import HEADERS_BYTES, Sniffer

# Says its last argument byte by byte or as a whole, with much before and behind it.
SAY = """
import socket, sys
with socket.create_connection((sys.argv[1], 9002)) as connection:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(bytes(100_000))
    for start in range(0, len(sys.argv[3]), int(sys.argv[2])):
        connection.sendall(sys.argv[3][start : start + int(sys.argv[2])].encode())
    connection.sendall(bytes(1_000_000))
"""
HEAR = """
import socket
with socket.create_server(("::", 9002), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    print("listens", flush=True)
    while True:
        with server.accept()[0] as connection:
            while connection.recv(2**20):
                pass
"""


def test_it_finds_words_across_packets_and_families(hosts: Hosts, tmp_path: Path) -> None:
    one, two = hosts[1], hosts[2]
    hearing = one.start(sys.executable, "-c", HEAR)
    hearing.wait_for("listens", 10)
    with Sniffer(hosts, tmp_path / "all.pcap") as sniffer:
        assert two.python("-c", SAY, one.address, "1", "slowly said").returncode == 0
        assert two.python("-c", SAY, one.address_6, "100", "said at once").returncode == 0
    hearing.end()
    found = sniffer.find([b"slowly said", b"said at once", b"never said"])
    assert [flow and flow[0] for flow in found[b"slowly said"]] == [two.address]
    assert [flow and flow[2] for flow in found[b"said at once"]] == ["fd77::1"]
    assert found[b"never said"] == []
    assert sniffer.num_packets > 20
    assert sniffer.num_dropped == 0
    lengths = {flow[0]: len(said) for flow, said in sniffer.streams().items()}
    assert lengths == {two.address: 1_100_011, two.address_6: 1_100_012}


def test_it_can_count_without_keeping(hosts: Hosts, tmp_path: Path) -> None:
    hearing = hosts[1].start(sys.executable, "-c", HEAR)
    hearing.wait_for("listens", 10)
    with Sniffer(hosts, tmp_path / "headers.pcap", HEADERS_BYTES) as sniffer:
        assert hosts[2].python("-c", SAY, hosts[1].address, "100", "said at once").returncode == 0
        assert hosts[2].python("-c", SAY, hosts[1].address_6, "100", "said at once").returncode == 0
    hearing.end()
    volumes = {flow[0]: count for flow, count in sniffer.volumes().items() if count}
    assert set(volumes) == {hosts[2].address, hosts[2].address_6}
    assert all(1_100_012 <= count < 1_110_000 for count in volumes.values()), volumes
    assert (tmp_path / "headers.pcap").stat().st_size < 100_000


def test_what_is_not_tcp_is_searched_too(hosts: Hosts, tmp_path: Path) -> None:
    with Sniffer(hosts, tmp_path / "all.pcap") as sniffer:
        script = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'a datagram', ('one', 9003))"
        assert hosts[2].python("-c", script).returncode == 0
        assert hosts[2].python("-c", script.replace("a datagram", "another")).returncode == 0
    found = sniffer.find([b"a datagram", b"another", b"a third"])
    # Nobody listens there, and the answer that says so quotes the packet.
    assert {word: set(places) for word, places in found.items()} == {
        b"a datagram": {None},
        b"another": {None},
        b"a third": set(),
    }

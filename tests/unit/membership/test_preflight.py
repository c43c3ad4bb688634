"""A handshake of our own names exactly what gRPC and Ray say nothing about."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.api.errors import ClusterError, UnauthenticatedError, UnreachableError
from cluster.membership.preflight import check_own, check_tls, own_identity
from cluster.membership.serving import Attendant, attendant_of
from cluster.messages.membership import Presence
from cluster.node.home import Home, NodeRecord, write_home
from cluster.trust.authority import Authority
from cluster.trust.identity import Identity, server_name, write_identity
from cluster.trust.node_key import new_key, signing_request
from cluster.wire.membership.attendant import AttendantServer

NOW_S = time.time()
NET = f"127.7.{random.randrange(256)}"
FIRST_PORT = random.randrange(20000, 30000)
AUTHORITY = Authority.new("abcdefgh23", NOW_S)
OTHER = Authority.new("abcdefgh23", NOW_S)


def a_home(folder: Path, name: str, host: str, authority: Authority = AUTHORITY, at_s: float = NOW_S) -> Home:
    folder.mkdir(mode=0o700)
    key_pem = new_key()
    cert_pem = authority.sign(signing_request(key_pem, name), name, [host], at_s)
    identity = Identity(name, authority.cluster_id, authority.certificate_pem, cert_pem, key_pem)
    write_identity(folder / "identity", identity)
    return write_home(folder, NodeRecord(name, authority.cluster_id, host, FIRST_PORT, True, f"{NET}.1"))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Home]:
    """A node whose port is open at two addresses, of which its certificate has one."""
    home = a_home(tmp_path / "node", "node-2", f"{NET}.2")
    attendant = Attendant(home, lambda reason: None, lambda: "nothing")
    attendant.start()
    assert home.record is not None
    elsewhere = Attendant(replace(home, record=replace(home.record, host=f"{NET}.3")), lambda reason: None, lambda: "")
    elsewhere.start()
    yield home
    attendant.stop()
    elsewhere.stop()


class Nobody:
    """An AttendantBackend."""

    def ping(self) -> Presence:
        raise AssertionError("somebody was believed")

    def end(self, reason: str) -> None:
        raise AssertionError("somebody was believed")


def port(home: Home) -> int:
    assert home.record is not None
    return home.record.ports.node


def test_who_believes_each_other_finds_nothing(node: Home, tmp_path: Path) -> None:
    asking = a_home(tmp_path / "asking", "node-4", f"{NET}.4")
    check_tls(asking, node.host, port(node))
    check_tls(asking, node.host, port(node), server_name("node-2", AUTHORITY.cluster_id))
    assert check_own(asking).node == "node-4"
    with attendant_of(asking, "node-2", node.host) as attendant:
        assert attendant.ping().running == "nothing"


def test_a_certificate_without_the_address_is_named(node: Home, tmp_path: Path) -> None:
    asking = a_home(tmp_path / "asking", "node-4", f"{NET}.4")
    with pytest.raises(UnauthenticatedError, match=rf"its certificate is not one of {NET}\.3"):
        check_tls(asking, f"{NET}.3", port(node))
    with pytest.raises(UnauthenticatedError, match=r"its certificate is not one of node-5\."):
        check_tls(asking, node.host, port(node), server_name("node-5", AUTHORITY.cluster_id))


def test_another_authority_is_named_at_both_ends(node: Home, tmp_path: Path) -> None:
    asking = a_home(tmp_path / "asking", "node-4", f"{NET}.4", OTHER)
    with pytest.raises(UnauthenticatedError, match="of another cluster's authority"):
        check_tls(asking, node.host, port(node))
    (asking.identity_folder / "ca.crt").write_bytes(AUTHORITY.certificate_pem)
    with pytest.raises(UnauthenticatedError, match="does not believe this node"):
        check_tls(asking, node.host, port(node))
    with pytest.raises(ClusterError, match="another cluster's authority signed"):
        check_own(asking)


def test_what_ended_is_named_at_both_ends(node: Home, tmp_path: Path) -> None:
    asking = a_home(tmp_path / "asking", "node-4", f"{NET}.4", at_s=NOW_S - 400 * 86400)
    with pytest.raises(UnauthenticatedError, match="does not believe this node"):
        check_tls(asking, node.host, port(node))
    with pytest.raises(ClusterError, match="expired at"):
        check_own(asking)
    ended = a_home(tmp_path / "ended", "node-5", f"{NET}.5", at_s=NOW_S - 400 * 86400)
    with pytest.raises(UnauthenticatedError, match="nobody will believe this identity: its certificate expired"):
        Attendant(ended, lambda reason: None, lambda: "")
    attendant = AttendantServer(Nobody(), lambda: own_identity(ended))
    attendant.start(ended.host, port(ended))
    sound = a_home(tmp_path / "sound", "node-6", f"{NET}.6")
    try:
        with pytest.raises(UnauthenticatedError, match="its certificate has ended"):
            check_tls(sound, ended.host, port(ended))
    finally:
        attendant.stop()


def test_nobody_silence_and_plaintext_are_told_apart_in_time(tmp_path: Path) -> None:
    asking = a_home(tmp_path / "asking", "node-4", f"{NET}.4")
    with socket.create_server((f"{NET}.7", 0)) as listener:
        host, silent = listener.getsockname()
        with pytest.raises(UnreachableError, match=r"no answer within 0\.2 s"):
            check_tls(asking, host, silent, timeout_s=0.2)

        def speak() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    connection.recv(10000)

        threading.Thread(target=speak, daemon=True).start()
        with pytest.raises(UnauthenticatedError, match="no TLS there"):
            for _ in range(2):
                check_tls(asking, host, silent)
    with pytest.raises(UnreachableError, match="refused"):
        check_tls(asking, host, silent)


def test_a_machine_that_is_no_node_says_so(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no node of a cluster"):
        check_own(Home(tmp_path))
    home = a_home(tmp_path / "asking", "node-4", f"{NET}.4")
    (home.identity_folder / "node.key").unlink()
    with pytest.raises(ClusterError, match="the certificate is gone"):
        check_own(home)
    (home.identity_folder / "node.key").write_bytes(b"x")
    with pytest.raises(ClusterError, match="cannot be used"):
        check_tls(home, f"{NET}.1", 1)

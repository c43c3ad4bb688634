"""The probe tells a port that takes a certificate from one that does not."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from cluster.trust.authority import Authority
from tests.net import mtls_probe
from tests.net.hosts import Hosts

# A gRPC server that demands certificates of one authority.
SERVE = """
import grpc, pathlib, sys, time
from concurrent.futures import ThreadPoolExecutor
ca, certificate, key = (pathlib.Path(name).read_bytes() for name in ("ca", "crt", "key"))
server = grpc.server(ThreadPoolExecutor(2))
credentials = grpc.ssl_server_credentials([(key, certificate)], ca, require_client_auth=True)
assert server.add_secure_port("0.0.0.0:9400", credentials)
server.start()
print("listens", flush=True)
time.sleep(60)
"""


def write_pair(folder: Path, authority: Authority, name: str, now_s: float) -> None:
    """ca, crt and key of a node that `authority` signs at `now_s`."""
    identity = authority.head_identity(name, ["10.77.0.1"], now_s)
    for file, pem in (("ca", identity.ca_pem), ("crt", identity.cert_pem), ("key", identity.key_pem)):
        (folder / file).write_bytes(pem)


@pytest.fixture
def authority() -> Authority:
    return Authority.new("abcdefghij", time.time())


def test_who_is_spoken_to(hosts: Hosts, authority: Authority) -> None:
    one, two = hosts[1], hosts[2]
    write_pair(one.home, authority, "one", time.time())
    write_pair(two.home, authority, "two", time.time())
    serving = one.start(sys.executable, "-c", SERVE)
    serving.wait_for("listens", 20)

    def probed(*pair: str) -> dict[str, object]:
        done = two.python("-I", mtls_probe.__file__, one.address, "9400", "ca", *pair)
        found: dict[str, object] = json.loads(done.stdout)
        return found

    accepted = probed("crt", "key")
    assert accepted["speaks"], accepted
    assert "one" in list(accepted["names"])  # type: ignore[call-overload]
    without = probed()
    assert not without["speaks"], without
    write_pair(two.home, Authority.new("abcdefghij", time.time()), "two", time.time())
    (two.home / "ca").write_bytes(authority.certificate_pem)
    foreign = probed("crt", "key")
    assert not foreign["speaks"], foreign
    write_pair(two.home, authority, "two", time.time() - 2 * 366 * 86400)
    expired = probed("crt", "key")
    assert not expired["speaks"], expired
    (two.home / "ca").write_bytes(Authority.new("abcdefghij", time.time()).certificate_pem)
    assert "CERTIFICATE_VERIFY_FAILED" in str(probed()["said"])
    serving.end()

"""A node of a foreign Ray makes its key, and gets a home with what was signed for it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest

from cluster.actors.ground.foreign_nodes import TLS, are_here, check_encrypted
from cluster.actors.nodes.agent import NodeAgent
from cluster.actors.nodes.enrolment import Enrolment
from cluster.actors.ray_side.nodes import RayNode
from cluster.actors.ray_side.start.environment import HOME
from cluster.api.errors import UsageError
from cluster.node.home import NodeRecord, read_home
from cluster.node.secret import Secret
from cluster.trust.authority import Authority
from cluster.trust.certificate import check_certificate
from cluster.trust.identity import read_identity
from cluster.trust.names import new_cluster_id
from cluster.wire.access.keys import keys_of

HOST = "10.0.0.2"


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> NodeAgent:
    monkeypatch.delenv(HOME, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")  # Ray's folder is to be short, and so must this one be
    return NodeAgent("two", HOST)


def enrolment(request: bytes, secret: Secret) -> Enrolment:
    authority = Authority.new(new_cluster_id(), time.time())
    record = NodeRecord("two", authority.cluster_id, HOST, 20000, True, "10.0.0.1")
    cert_pem = authority.sign(request, "two", [HOST], time.time())
    return Enrolment(record, authority.certificate_pem, cert_pem, secret.text, secret.for_clients.text)


def test_the_home_is_private_and_complete_and_gone_afterwards(agent: NodeAgent) -> None:
    request, secret = agent.request(), Secret.new()
    assert request is not None
    told = enrolment(request, secret)
    assert secret.text not in repr(told)
    folder = Path(agent.enrol(told))
    try:
        assert folder.stat().st_mode & 0o77 == folder.parent.stat().st_mode & 0o77 == 0
        home = read_home(folder)
        assert home.record == told.record
        identity = read_identity(home.identity_folder, "two", told.record.cluster_id)
        assert check_certificate(identity, HOST, time.time()).node == "two"
        assert keys_of(home).secret == secret
        assert agent.home() == str(folder)
        assert agent.request() is None, "a node that has a home needs no other"
        assert agent.enrol(enrolment(request, Secret.new())) == str(folder)
    finally:
        agent.leave()
    assert not folder.parent.exists()
    agent.leave()


def test_nodes_are_here_if_all_of_their_addresses_are_of_this_machine() -> None:
    here, elsewhere = RayNode("one", "1" * 56, "127.0.0.1", True), RayNode("two", "2" * 56, "192.0.2.1", False)
    assert are_here((here,))
    assert not are_here((here, elsewhere))


def test_secrets_do_not_pass_through_a_ray_that_is_not_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = (RayNode("one", "1" * 56, "10.0.0.1", True), RayNode("two", "2" * 56, HOST, False))
    monkeypatch.setenv(TLS, "1")
    check_encrypted(nodes)
    monkeypatch.setenv(TLS, "0")
    with pytest.raises(UsageError, match=r"Ray has nodes on 2 machines.*give RAY_USE_TLS=1 .* or give --insecure"):
        check_encrypted(nodes)

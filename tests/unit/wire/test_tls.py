"""Between nodes nothing is in the clear, and who is no node of the cluster gets nowhere: with real gRPC."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from cluster.api.errors import UnreachableError
from cluster.messages.stage import Hello
from cluster.trust.identity import Identity
from cluster.wire.access.keys import Keys
from cluster.wire.stage.event_watch import EventWatch
from cluster.wire.stage.link import StageLink
from cluster.wire.stage.server import StageServer
from cluster.wire.transport.channel import host_of, port_of
from tests.fakes.certificates import FakeAuthority
from tests.fakes.wire_backends import SECRET, RecordingStage, make_batch, make_hello, make_hidden, no_thread_left

HOST = "127.0.0.2"  # another address of this machine stands for another machine
AUTHORITY = FakeAuthority.new()
NODE_1 = AUTHORITY.identity("node-1")
NODE_2 = AUTHORITY.identity("node-2")


def keys(identity: Identity) -> Keys:
    return Keys(SECRET, lambda: identity, identity.name)


@contextmanager
def stage_of(own: Keys, hello: Hello | None = None) -> Iterator[tuple[RecordingStage, str]]:
    """A stage's server of the node whose keys these are, and its address."""
    backend = RecordingStage()
    server = StageServer(hello or make_hello(), backend, own.listener(HOST))
    try:
        yield backend, server.start()
    finally:
        server.stop()


def opened(own: Keys, address: str, node: str, hello: Hello | None = None) -> None:
    """Say Hello to the stage at `address` of `node`, and leave."""
    watch = EventWatch(own.endpoint(address, node), hello or make_hello(), lambda event: None, lambda reason: None)
    try:
        watch.open()
    finally:
        watch.close()


def test_two_nodes_with_certificates_of_one_authority_speak_over_tls() -> None:
    with no_thread_left(), stage_of(keys(NODE_1)) as (backend, address):
        assert host_of(address) == HOST
        link = StageLink(keys(NODE_2).endpoint(address, "node-1"), make_hello(), lambda reason: None)
        link.open()
        link.send(make_batch(), make_hidden())
        batch, hidden = backend.steps.get(timeout=5)
        assert batch.num_rows == 2
        assert hidden is not None
        link.close()


def test_processes_of_one_node_speak_over_loopback_at_the_same_port() -> None:
    with no_thread_left(), stage_of(keys(NODE_1)) as (_, address):
        endpoint = keys(NODE_1).endpoint(address, "node-1")
        assert endpoint.tls is None
        assert endpoint.address == f"127.0.0.1:{port_of(address)}"
        opened(keys(NODE_1), address, "node-1")


def test_over_tls_clocks_may_differ_by_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead_s = itertools.cycle([3600.0, 0.0])  # whoever proves is an hour ahead of whoever checks
    clock = SimpleNamespace(time=lambda: time.time() + next(ahead_s))
    monkeypatch.setattr("cluster.wire.access.proof.time", clock)
    with no_thread_left(), stage_of(keys(NODE_1)) as (_, address):
        opened(keys(NODE_2), address, "node-1")
        with pytest.raises(UnreachableError, match="the secret of this cluster was not given"):
            opened(keys(NODE_1), address, "node-1")  # in plaintext an old proof is refused


def test_the_secret_is_asked_for_beside_the_certificate() -> None:
    with no_thread_left(), stage_of(keys(NODE_1)) as (_, address):
        stranger = replace(keys(NODE_2), secret=SECRET.for_clients)
        with pytest.raises(UnreachableError, match="the secret of this cluster was not given"):
            opened(stranger, address, "node-1")

"""Between nodes nothing is in the clear, and who is no node of the cluster gets nowhere: with real gRPC."""

from __future__ import annotations

import itertools
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest

from cluster.api.errors import UnauthenticatedError, UnreachableError, UsageError
from cluster.messages.stage import Callers, Hello, StageAddress
from cluster.node.private import write_private
from cluster.trust.held_identity import HeldIdentity
from cluster.trust.identity import CERTIFICATE_FILE, KEY_FILE, Identity, write_identity
from cluster.wire.access.keys import Keys
from cluster.wire.codec.wiring import decode_wiring, encode_wiring
from cluster.wire.stage.event_watch import EventWatch
from cluster.wire.stage.link import StageLink
from cluster.wire.stage.server import StageServer
from cluster.wire.stage.token_watch import TokenWatch
from cluster.wire.stage.wiring import wire_stages, wirings
from cluster.wire.transport.channel import check_port_free, free_port_at, host_of, port_of
from tests.fakes.certificates import HOUR, FakeAuthority
from tests.fakes.wire_backends import SECRET, RecordingStage, make_batch, make_hello, make_hidden, no_thread_left

HOST = "127.0.0.2"  # another address of this machine stands for another machine
AUTHORITY = FakeAuthority.new()
ANY = Callers()
NODE_1 = AUTHORITY.identity("node-1")
NODE_2 = AUTHORITY.identity("node-2")
NODE_3 = AUTHORITY.identity("node-3")


def keys(identity: Identity) -> Keys:
    return Keys(SECRET, lambda: identity, identity.name, HOST)


@contextmanager
def stage_of(own: Keys, hello: Hello | None = None, callers: Callers = ANY) -> Iterator[tuple[RecordingStage, str]]:
    """A stage's server of the node whose keys these are, and its address."""
    backend = RecordingStage()
    server = StageServer(hello or make_hello(), backend, own.listener, callers)
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


# --- Which node calls


def test_a_stage_takes_its_streams_from_the_nodes_that_it_was_wired_for() -> None:
    hello = make_hello()
    with no_thread_left(), stage_of(keys(NODE_1), callers=Callers("node-2", "node-3", "node-3")) as (_, address):
        end = keys(NODE_2).endpoint(address, "node-1")
        link = StageLink(end, hello, lambda reason: None)
        link.open()
        with pytest.raises(UnauthenticatedError, match=r"watch: stage 1 .* node node-3, and node-2 calls; "):
            opened(keys(NODE_2), address, "node-1")
        tokens = TokenWatch(end, hello, lambda step: None, lambda reason: None)
        with pytest.raises(UnauthenticatedError, match=r"tokens: stage 1 .* node node-3, and node-2 calls; "):
            tokens.open()
        with pytest.raises(UnauthenticatedError, match=r"coordinator: stage 1 .* node node-3, and node-2 calls; "):
            wire_stages([StageAddress(address, make_hello(epoch=4), "node-1")], keys(NODE_2))
        opened(keys(NODE_3), address, "node-1")
        with pytest.raises(UnauthenticatedError, match=r"upstream: stage 1 .* node node-2, and node-3 calls; "):
            StageLink(keys(NODE_3).endpoint(address, "node-1"), hello, lambda reason: None).open()
        link.close()


def test_what_a_stage_is_told_names_the_nodes_of_the_others() -> None:
    first = StageAddress("10.0.0.1:1", make_hello(stage=0, first=0, end=4), "node-1")
    last = StageAddress("10.0.0.2:1", make_hello(), "node-2")
    told = wirings([first, last], "node-0")
    assert [wiring.callers for wiring in told] == [
        Callers("node-0", "node-0", "node-1"),
        Callers("node-1", "node-0", "node-1"),
    ]
    assert [decode_wiring(encode_wiring(wiring)) for wiring in told] == told


# --- A renewed certificate


def test_a_renewed_certificate_is_shown_at_the_next_handshake_and_open_streams_stay(tmp_path: Path) -> None:
    """The files are replaced one after the other, and in between nobody is turned away."""
    tmp_path.chmod(0o700)
    folder = tmp_path / "identity"
    write_identity(folder, NODE_1)
    own = Keys(SECRET, HeldIdentity(folder, "node-1", "abcdef").current, "node-1", HOST)
    with stage_of(own) as (backend, address):
        lost: list[str] = []
        link = StageLink(keys(NODE_2).endpoint(address, "node-1"), make_hello(), lost.append)
        link.open()
        before = shown_at(address)
        renewed = AUTHORITY.identity("node-1")
        for name, content in ((KEY_FILE, renewed.key_pem), (CERTIFICATE_FILE, renewed.cert_pem)):
            assert shown_at(address) == before
            write_private(folder / name, content)
        assert shown_at(address) == ssl.PEM_cert_to_DER_cert(renewed.cert_pem.decode()) != before
        opened(keys(NODE_2), address, "node-1")
        write_identity(folder, AUTHORITY.identity("node-1", begins=-3 * HOUR, ends=-HOUR))  # by a clock that was wrong
        assert shown_at(address) == ssl.PEM_cert_to_DER_cert(renewed.cert_pem.decode())
        link.send(make_batch(), make_hidden())
        backend.steps.get(timeout=5)
        assert not lost
        link.close()


def shown_at(address: str) -> bytes:
    """The certificate that a server shows now, as DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host_of(address), port_of(address)), 5) as plain, context.wrap_socket(plain) as end:
        found = end.getpeercert(binary_form=True)
    assert found is not None
    return found


def test_a_certificate_that_expires_under_an_open_stream_does_not_end_it() -> None:
    short = AUTHORITY.identity("node-1", ends=timedelta(seconds=2))
    with no_thread_left(), stage_of(keys(short)) as (backend, address):
        link = StageLink(keys(NODE_2).endpoint(address, "node-1"), make_hello(), lambda reason: None)
        link.open()
        time.sleep(3)
        link.send(make_batch(), make_hidden())
        backend.steps.get(timeout=5)
        with pytest.raises(UnauthenticatedError, match="its certificate has expired"):
            opened(keys(NODE_3), address, "node-1")
        link.close()


# --- Ports


def four_free_ports() -> tuple[int, socket.socket, socket.socket]:
    """The first of them; it is taken at HOST, and the second one on loopback. Others may take ports meanwhile."""
    while True:
        first = free_port_at(HOST)
        with ExitStack() as stack:
            try:
                taken = [
                    stack.enter_context(socket.create_server(place))
                    for place in ((HOST, first), ("127.0.0.1", first + 1))
                ]
                for port in (first + 2, first + 3):
                    for host in (HOST, "127.0.0.1"):
                        check_port_free(host, port)
            except (OSError, UsageError):
                continue
            stack.pop_all()
            return first, *taken


def test_of_a_range_the_first_port_that_is_free_everywhere_is_taken() -> None:
    first, *taken = four_free_ports()
    own = replace(keys(NODE_1), ports=range(first, first + 4))
    with (
        taken[0],
        taken[1],
        no_thread_left(),
        stage_of(own) as (_, address),
        stage_of(own) as (_, another),
    ):
        assert [port_of(address), port_of(another)] == [first + 2, first + 3]
        with pytest.raises(UsageError, match=rf"ports {first} to {first + 3} on {HOST}: none is free; the last try: "):
            own.listener.bind(grpc.server(ThreadPoolExecutor(1)))


def test_an_address_of_another_machine_is_no_place_to_listen() -> None:
    own = replace(keys(NODE_1), host="192.0.2.1", ports=range(20000, 20003))
    with pytest.raises(UsageError, match=r"ports 20000 to 20002 on 192\.0\.2\.1: none is free; .*Cannot assign"):
        own.listener.bind(grpc.server(ThreadPoolExecutor(1)))

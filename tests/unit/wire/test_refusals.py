"""Two ends that do not believe each other: each reason is named in one line, soon, with what to do."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import grpc
import pytest

from cluster.api.errors import UnauthenticatedError, UnreachableError
from cluster.trust.identity import Identity
from cluster.wire.access.endpoint import Endpoint, Listener
from cluster.wire.access.keys import Keys
from cluster.wire.stage.event_watch import EventWatch
from cluster.wire.stage.server import StageServer
from cluster.wire.transport.refusal import PROBE_TIMEOUT_S
from cluster.wire.transport.tls import CallerTls
from tests.fakes.certificates import CLIENT_ONLY, DAY, SERVER_ONLY, FakeAuthority
from tests.fakes.wire_backends import SECRET, RecordingStage, make_hello, no_thread_left

HOST = "127.0.0.2"
OURS = FakeAuthority.new()
OTHERS = FakeAuthority.new("zzzzzz")
GOOD = OURS.identity("node-1")
CALLER = OURS.identity("node-2")
SOON_S = 1.0  # on a machine that does much else; alone it is some milliseconds


@contextmanager
def serving(listener: Listener) -> Iterator[str]:
    server = StageServer(make_hello(), RecordingStage(), listener)
    try:
        yield server.start()
    finally:
        server.stop()


def listener_of(identity: Identity, **changes: object) -> Listener:
    return replace(Keys(SECRET, lambda: identity, identity.name, HOST).listener, **changes)


def call(endpoint: Endpoint) -> None:
    watch = EventWatch(endpoint, make_hello(), lambda event: None, lambda reason: None)
    try:
        watch.open()
    finally:
        watch.close()


@dataclass(frozen=True)
class Case:
    """`said`: all of the message behind "stage 1 at HOST:PORT: "."""

    said: str
    server: Identity = GOOD
    caller: Identity = CALLER
    node: str = "node-1"  # that the caller expects


REJOIN = "join the cluster again: cluster join"
NOT_OURS = f"see that the address is the node's own, and {REJOIN}"
UNSOUND = "it does not accept this node's certificate: {}; " + REJOIN
SOUND = (
    "it does not accept this node's certificate, which is sound by the clock here: it is of another cluster, or its "
    f"clock is wrong; set the clocks of both machines, or {REJOIN}"
)
CASES = {
    "the caller is of another cluster": Case(
        UNSOUND.format("another cluster's authority signed its certificate"),
        caller=OTHERS.identity("node-2", trusts=OURS),
    ),
    "both say so, and are not": Case(
        f"its certificate is one of another cluster; {NOT_OURS}", caller=OTHERS.identity("node-2")
    ),
    "the caller's certificate has expired": Case(
        r"it does not accept this node's certificate: its certificate expired at [-\d]+ \d\d:\d\d UTC; " + REJOIN,
        caller=OURS.identity("node-2", begins=-2 * DAY, ends=-DAY),
    ),
    "the caller's certificate is not valid yet": Case(
        r"it does not accept this node's certificate: its certificate is valid from .* on, and this .*; " + REJOIN,
        caller=OURS.identity("node-2", begins=DAY, ends=2 * DAY),
    ),
    "the caller's certificate is for servers": Case(
        UNSOUND.format("its certificate is not for both ends of a connection"),
        caller=OURS.identity("node-2", usages=SERVER_ONLY),
    ),
    "the server's certificate has expired": Case(
        "its certificate has expired; there, run cluster join, or cluster up on the head",
        server=OURS.identity("node-1", begins=-2 * DAY, ends=-DAY),
    ),
    "the server's certificate is not valid yet": Case(
        "its certificate is not valid yet; set the clocks of both machines",
        server=OURS.identity("node-1", begins=DAY, ends=2 * DAY),
    ),
    "the server's certificate is for callers": Case(
        f"its certificate is not one for servers; {NOT_OURS}", server=OURS.identity("node-1", usages=CLIENT_ONLY)
    ),
    "another node answers": Case(
        f"its certificate is not one of node-3.abcdef.ggml-cluster; {NOT_OURS}", node="node-3"
    ),
    "the server's certificate names nobody": Case(
        f"its certificate is not one of node-1.abcdef.ggml-cluster; {NOT_OURS}",
        server=OURS.identity("node-1", names=()),
    ),
    "the caller trusts another authority": Case(
        f"its certificate is one of another cluster; {NOT_OURS}", caller=OURS.identity("node-2", trusts=OTHERS)
    ),
    "the server trusts another authority": Case(SOUND, server=OURS.identity("node-1", trusts=OTHERS)),
}


@pytest.mark.parametrize("name", CASES)
def test_each_reason_is_named_at_once(name: str) -> None:
    case = CASES[name]
    with no_thread_left(), serving(listener_of(case.server)) as address:
        tls = CallerTls.of(case.caller, f"{case.node}.{case.caller.cluster_id}.ggml-cluster")
        if case.caller.cluster_id != "abcdef":
            tls = replace(tls, server_name=f"{case.node}.abcdef.ggml-cluster")
        begun_s = time.monotonic()
        with pytest.raises(UnauthenticatedError, match=rf"^stage 1 at {HOST}:\d+: {case.said}$") as caught:
            call(Endpoint(address, SECRET, tls))
        assert time.monotonic() - begun_s < SOON_S
        assert "\n" not in str(caught.value)


def test_plaintext_to_a_port_of_tls() -> None:
    said = r": it speaks TLS only, .*; on a node .* cluster connect, "
    with no_thread_left(), serving(listener_of(GOOD)) as address, pytest.raises(UnauthenticatedError, match=said):
        call(Endpoint(address, SECRET))


def test_tls_to_a_port_of_plaintext() -> None:
    with (
        no_thread_left(),
        serving(Listener(SECRET, HOST)) as address,
        pytest.raises(UnauthenticatedError, match=r": what listens there does not speak TLS; .* without --insecure"),
    ):
        call(Keys(SECRET, lambda: CALLER, "node-2").endpoint(address, "node-1"))


def test_a_caller_without_a_certificate_at_a_port_for_nodes() -> None:
    said = r": it speaks to nodes of the cluster only; give the address "
    with no_thread_left(), serving(listener_of(GOOD)) as address, pytest.raises(UnauthenticatedError, match=said):
        call(Endpoint(address, SECRET, CallerTls(GOOD.server_name, GOOD.ca_pem)))


def test_a_certificate_of_the_authority_that_is_no_nodes_is_refused() -> None:
    stranger = OURS.identity("client", names=("client.example",))
    said = r"^the caller's certificate is not that of a node of this cluster; join it anew$"
    with no_thread_left(), serving(listener_of(GOOD)) as address, pytest.raises(UnauthenticatedError, match=said):
        call(Endpoint(address, SECRET, CallerTls.of(stranger, GOOD.server_name)))


def test_nobody_there_is_told_as_before() -> None:
    with no_thread_left(), socket.create_server((HOST, 0)) as taken:
        address = f"{HOST}:{taken.getsockname()[1]}"
        taken.close()
        with pytest.raises(UnreachableError, match="Connection refused") as caught:
            call(Keys(SECRET, lambda: CALLER, "node-2").endpoint(address, "node-1"))
        assert not isinstance(caught.value, UnauthenticatedError)


# --- Who listens there is hostile


def close_at_once(connection: socket.socket) -> None:
    connection.close()


def say_nothing(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def say_http(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 100_000)
    connection.close()


def say_noise(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(bytes(range(256)) * 400)
    connection.close()


@contextmanager
def listening(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    with socket.create_server((HOST, 0)) as server:
        connections: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                    connections.append(connection)
                    behave(connection)
                except OSError:
                    if server.fileno() < 0:
                        return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"{HOST}:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    for connection in connections:  # now: one that came late would stay open
        connection.close()


@pytest.mark.parametrize("behave", [close_at_once, say_http, say_noise])
@pytest.mark.parametrize("is_secure", [True, False])
def test_a_hostile_listener_costs_a_moment(behave: Callable[[socket.socket], None], is_secure: bool) -> None:
    with listening(behave) as address:
        endpoint = Keys(SECRET, (lambda: CALLER) if is_secure else None, "node-2").endpoint(address, "node-1")
        begun_s = time.monotonic()
        with pytest.raises(UnreachableError) as caught:
            call(endpoint)
        assert time.monotonic() - begun_s < PROBE_TIMEOUT_S + 2 * SOON_S
        assert "\n" not in str(caught.value)


def test_one_who_says_nothing_costs_the_time_of_a_connection() -> None:
    with listening(say_nothing) as address:
        endpoint = Keys(SECRET, lambda: CALLER, "node-2").endpoint(address, "node-1")
        begun_s = time.monotonic()
        with pytest.raises(UnreachableError):
            call(endpoint)
        assert time.monotonic() - begun_s < 10 + PROBE_TIMEOUT_S + SOON_S


@pytest.mark.parametrize(
    "sent", [b"", b"\x16\x03\x01\xff\xff" + b"\xff" * 2000, b"GET / HTTP/1.1\r\n\r\n", b"\0" * 65536]
)
def test_hostile_handshakes_harm_nobody(sent: bytes) -> None:
    with no_thread_left(), serving(listener_of(GOOD)) as address:
        host, _, port = address.rpartition(":")
        strangers = []
        for _ in range(50):
            stranger = socket.create_connection((host, int(port)), timeout=10)
            stranger.sendall(sent)
            strangers.append(stranger)
        call(Keys(SECRET, lambda: CALLER, "node-2").endpoint(address, "node-1"))
        for stranger in strangers:
            stranger.close()


class Refused(grpc.RpcError):
    """As a server refuses who does not prove its secret."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAUTHENTICATED

    def details(self) -> str:
        return "the secret of this cluster was not given"

    def trailing_metadata(self) -> tuple[()]:
        return ()


@pytest.mark.parametrize(("host", "are_clocks_named"), [("10.0.0.1", True), ("127.0.0.1", False), ("[::1]", False)])
def test_in_plaintext_between_machines_the_clocks_are_named_too(host: str, are_clocks_named: bool) -> None:
    said = str(Endpoint(f"{host}:8478", SECRET).error_of(Refused(), "stage 1", "wait"))
    assert ("; in plaintext the clocks of both machines must agree to a minute, too" in said) is are_clocks_named

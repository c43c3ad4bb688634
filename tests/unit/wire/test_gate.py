"""Who does not know the secret gets nothing from any port: no answer, no thread, no place, no word about the stage."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

import cluster
from cluster.api.errors import HandshakeError, UnauthenticatedError, UnreachableError
from cluster.node.secret import Secret, write_secret
from cluster.wire.access import proof, strangers
from cluster.wire.access.endpoint import Endpoint, Listener
from cluster.wire.access.gate import Gate
from cluster.wire.access.proof import PROOF_KEY, Proof, answer_to
from cluster.wire.inference.server import InferenceServer
from cluster.wire.ring.server import RingServer
from cluster.wire.stage.event_watch import EventWatch
from cluster.wire.stage.link import StageLink
from cluster.wire.stage.server import StageServer
from cluster.wire.stage.token_watch import TokenWatch
from cluster.wire.transport.channel import (
    KEEPALIVE_TIME_MS,
    PING_TIMEOUT_MS,
    SERVER_OPTIONS,
    bind,
    open_channel,
    port_of,
)
from cluster.wire.transport.methods import _SERVICES, method_path
from cluster.wire.weights.client import WeightsClient
from cluster.wire.weights.server import WeightsServer
from protos import stage_pb2
from tests.fakes.wire_backends import (
    SECRET,
    EchoCluster,
    RecordingStage,
    endpoint,
    make_hello,
    no_thread_left,
    open_proving_channel,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"  # of HTTP/2, with empty settings
NUM_STRANGERS = 40  # more than any server has threads
DESCRIBE = method_path("Stage", "Describe")


class NoWeights:
    """A WeightsBackend of a model without tensors."""

    model_hash = "ab" * 32
    header = b""
    held = ()

    def tensor_bytes(self, tensor: int) -> int:
        raise AssertionError("a stranger got this far")

    def read(self, tensor: int, begin: int, end: int) -> Iterator[bytes]:
        raise AssertionError("a stranger got this far")


@dataclass
class Ports:
    """A server of each kind, and the backends that nobody may reach."""

    addresses: dict[str, str]
    stage: RecordingStage
    stage_server: StageServer
    echo: EchoCluster


@pytest.fixture
def ports() -> Iterator[Ports]:
    with no_thread_left():
        stage, echo = RecordingStage(), EchoCluster()
        servers = {
            "Stage": StageServer(make_hello(), stage, Listener(SECRET)),
            "Inference": InferenceServer(echo, Listener(SECRET)),
            "Weights": WeightsServer(NoWeights(), Listener(SECRET)),
            "Ring": RingServer(1, 2, Listener(SECRET)),
        }
        yield Ports({name: server.start() for name, server in servers.items()}, stage, servers["Stage"], echo)
        for server in servers.values():
            server.stop()
        echo.join()


# What asks for certificates in place of the secret: see tests/unit/wire/membership.
BY_CERTIFICATE = {"Door", "Members", "Attendant"}
METHODS = [
    pytest.param(service, method.name, method.client_streaming, id=f"{service}-{method.name}")
    for service, descriptor in _SERVICES.items()
    for method in descriptor.methods
    if service not in BY_CERTIFICATE
]
OTHER = Secret.new()


def wrong_proofs(port: int, path: str) -> dict[str, tuple[tuple[str, str | bytes], ...]]:
    """What strangers may send to a port as a proof for the method at `path`."""
    good = Proof(SECRET, port, path).metadata[0][1]
    sent, _, code = good.rpartition(".")
    return {
        "nothing": (),
        "another secret": Proof(OTHER, port, path).metadata,
        "the proof of another method": Proof(SECRET, port, "/ggml_cluster.v1.Stage/Other").metadata,
        "the proof for another port": Proof(SECRET, port + 1, path).metadata,
        "the secret itself": ((PROOF_KEY, SECRET.text),),
        "another time": ((PROOF_KEY, f"1{sent}.{code}"),),
        "no code": ((PROOF_KEY, sent),),
        "empty": ((PROOF_KEY, ""),),
        "half": ((PROOF_KEY, good[:-1]),),
        "dots": ((PROOF_KEY, "." * 300),),
        "long": ((PROOF_KEY, "1" * 4000),),
        "first a wrong one": ((PROOF_KEY, "x"), (PROOF_KEY, good)),
        "another key": (("authorization", f"Bearer {SECRET.text}"),),
    }


@pytest.mark.parametrize(("service", "method", "is_stream"), METHODS)
def test_no_method_of_any_port_answers_a_stranger(ports: Ports, service: str, method: str, is_stream: bool) -> None:
    path = method_path(service, method)
    with open_channel(ports.addresses[service]) as channel:
        for name, metadata in wrong_proofs(port_of(ports.addresses[service]), path).items():
            call = channel.stream_stream(path)(iter([b""]), metadata=metadata, timeout=10)
            with pytest.raises(grpc.RpcError) as raised:
                list(call)
            assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED, name
            assert raised.value.details() == "the secret of this cluster was not given", name
            assert not list(call.initial_metadata() or ()), name
            assert not [key for key, _ in call.trailing_metadata() if key.startswith("cluster")], name
    assert not ports.stage.accepted
    assert not ports.echo.params


def test_a_method_that_is_not_there_is_no_news_to_a_stranger(ports: Ports) -> None:
    for address in ports.addresses.values():
        with open_channel(address) as channel, pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary("/grpc.reflection.v1.ServerReflection/Anything")(b"", timeout=10)
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_hello_is_not_learnt_from_refusals(ports: Ports) -> None:
    """Neither its fields nor the epoch: a stranger's Hello is not even compared."""
    for changes in ({}, {"epoch": 2}, {"epoch": 2**63 - 1}, {"model_hash": "x"}, {"hidden_width": 1}):
        hello = make_hello(**changes)
        address = Endpoint(ports.addresses["Stage"], OTHER)
        for stream in (
            StageLink(address, hello, _unheard),
            EventWatch(address, hello, _unheard, _unheard),
            TokenWatch(address, hello, _unheard, _unheard),
        ):
            with pytest.raises(UnauthenticatedError, match=r"stage 1 at .*: the secret of this cluster was not given"):
                stream.open()
    assert not ports.stage.accepted


def _unheard(*_: object) -> None:
    raise AssertionError("nobody may say anything")


@pytest.mark.parametrize("num_connections", [1, NUM_STRANGERS])
@pytest.mark.parametrize("service", ["Stage", "Inference", "Weights"])
def test_strangers_who_say_nothing_more_keep_nobody_out(ports: Ports, service: str, num_connections: int) -> None:
    """Their calls never end on their side: no request is sent, and no answer is read."""
    address, path = ports.addresses[service], method_path(service, next(iter(_SERVICES[service].methods_by_name)))
    silent = threading.Event()

    def nothing() -> Iterator[bytes]:
        silent.wait(30)
        yield from ()

    with ExitStack() as stack:
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [stack.enter_context(grpc.insecure_channel(address, options)) for _ in range(num_connections)]
        stack.callback(silent.set)
        calls = [
            channels[number % num_connections].stream_stream(path)(nothing(), timeout=30)
            for number in range(NUM_STRANGERS)
        ]
        for call in calls:  # all of them have been dealt with
            assert call.code() is grpc.StatusCode.UNAUTHENTICATED
        if service == "Stage":
            watch = EventWatch(endpoint(address), make_hello(), _unheard, _unheard)
            watch.open()
            assert watch.describe() == ports.stage.describe()
            watch.close()
        elif service == "Inference":
            with cluster.connect(address, SECRET.text) as client:
                assert client.generate("good").text == "good"
        else:
            client = WeightsClient(endpoint(address), "0" * 64)
            with pytest.raises(HandshakeError):
                client.describe()
            client.close()


def test_a_refusal_takes_no_thread_of_the_handlers() -> None:
    """With every thread of the server taken, a stranger is still refused at once: it never waits for one."""
    release, taken = threading.Event(), threading.Semaphore(0)

    def hold(request: bytes, context: grpc.ServicerContext) -> bytes:
        taken.release()
        release.wait(20)
        return b""

    with ThreadPoolExecutor(2) as threads:
        known = strangers.Strangers()
        server = grpc.server(threads, interceptors=[Gate(Listener(SECRET), known)], options=SERVER_OPTIONS)
        handler = grpc.unary_unary_rpc_method_handler(hold)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", {"m": handler}),))
        address = bind(server, "127.0.0.1", 0)
        known.port = port_of(address)
        server.start()
        with open_proving_channel(address) as good, open_channel(address) as bad:
            held = [good.unary_unary("/s/m").future(b"", timeout=20) for _ in range(2)]
            for _ in held:
                assert taken.acquire(timeout=10)
            for _ in range(50):
                with pytest.raises(grpc.RpcError) as raised:
                    bad.unary_unary("/s/m")(b"", timeout=10)
                assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
            release.set()
            assert [call.result() for call in held] == [b"", b""]
        server.stop(0).wait()


def test_the_epoch_of_a_stage_is_raised_by_no_stream(ports: Ports) -> None:
    """Not even by one who knows the secret: it was wired for epoch 3."""
    address = endpoint(ports.addresses["Stage"])
    link = StageLink(address, make_hello(), _unheard)
    link.open()
    for epoch in (4, 48, 2**63 - 1):
        for stream in (
            EventWatch(address, make_hello(epoch=epoch), _unheard, _unheard),
            StageLink(address, make_hello(epoch=epoch), _unheard),
        ):
            with pytest.raises(HandshakeError, match=f"was wired for epoch 3, its peer says {epoch}"):
                stream.open()
    assert [hello.epoch for hello in ports.stage.accepted] == [3]
    ports.stage_server.expect(4)
    with pytest.raises(HandshakeError, match="was wired for epoch 4, and is told 4"):
        ports.stage_server.expect(4)
    link.close()


def test_one_listener_for_each_purpose_of_an_epoch(ports: Ports) -> None:
    address = endpoint(ports.addresses["Stage"])
    kinds = (EventWatch, TokenWatch)
    first = [kind(address, make_hello(), _unheard, _unheard) for kind in kinds]
    for watch in first:
        watch.open()
    for purpose, kind in zip(("watch", "tokens"), kinds, strict=True):
        with pytest.raises(HandshakeError, match=rf"already had one who listens \({purpose}\) in epoch 3"):
            kind(address, make_hello(), _unheard, _unheard).open()
    for watch in first:
        watch.close()
    with pytest.raises(HandshakeError, match="already had one who listens"):
        EventWatch(address, make_hello(), _unheard, _unheard).open()


# --- The other way round: who listens at an address where our server was


class Impostor:
    """Answers whatever it is asked, keeps what it heard, and does not know the secret."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []  # methods, and the proofs that came with them
        self._threads = ThreadPoolExecutor(4)
        self._server = grpc.server(self._threads)
        self._server.add_generic_rpc_handlers((self,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        self.heard.append((details.method, dict(details.invocation_metadata)[PROOF_KEY]))
        return grpc.stream_stream_rpc_method_handler(self._answer)

    def _answer(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        context.send_initial_metadata(((PROOF_KEY, self.heard[-1][1]),))  # what it was sent is all that it has
        yield stage_pb2.StageEvent(hello=stage_pb2.HelloAck(epoch=3)).SerializeToString()

    def __enter__(self) -> Impostor:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()
        self._threads.shutdown()


def test_an_impostor_is_not_believed_and_learns_nothing_to_use_elsewhere(ports: Ports) -> None:
    with Impostor() as impostor:
        with pytest.raises(UnauthenticatedError, match=f"at {impostor.address}: what listens there does not know"):
            cluster.connect(impostor.address, SECRET.text)
        with cluster.Client(impostor.address, SECRET.text) as client:
            with pytest.raises(UnauthenticatedError, match="does not know this cluster's secret"):
                list(client.stream("my words"))
            with pytest.raises(UnauthenticatedError, match="does not know this cluster's secret"):
                client.generate("my words")
        with pytest.raises(UnauthenticatedError, match=r"stage 1 at .* does not know this cluster's secret"):
            EventWatch(endpoint(impostor.address), make_hello(), _unheard, _unheard).open()
        with pytest.raises(UnauthenticatedError, match=r"weights at .* does not know this cluster's secret"):
            WeightsClient(endpoint(impostor.address), "0" * 64).describe()
        assert len(impostor.heard) >= 5
        heard = impostor.heard
    assert not any(SECRET.text in text for _, text in heard)
    for path, text in heard:  # to the very method that it was for, where the real server is now
        service = path.split(".")[-1].split("/")[0]
        with open_channel(ports.addresses[service]) as channel, pytest.raises(grpc.RpcError) as raised:
            list(channel.stream_stream(path)(iter([b""]), metadata=((PROOF_KEY, text),), timeout=10))
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_proof_is_good_for_one_method_of_one_port_and_a_short_while(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Proof(SECRET, 7, DESCRIBE)
    answer = answer_to(SECRET, 7, DESCRIBE, made.metadata)
    assert answer is not None
    made.check(answer, "stage")
    assert answer_to(SECRET, 7, method_path("Stage", "Watch"), made.metadata) is None
    assert answer_to(SECRET, 8, DESCRIBE, made.metadata) is None
    assert answer_to(OTHER, 7, DESCRIBE, made.metadata) is None
    for wrong in (None, (), made.metadata, answer_to(OTHER, 7, DESCRIBE, Proof(OTHER, 7, DESCRIBE).metadata)):
        with pytest.raises(UnauthenticatedError):
            made.check(wrong, "stage")
    now_s = time.time()
    for passed_s, is_good in (
        (proof.LIFETIME_S - 2, True),
        (proof.LIFETIME_S + 2, False),
        (-proof.LIFETIME_S - 2, False),
    ):
        monkeypatch.setattr(time, "time", lambda passed_s=passed_s: now_s + passed_s)
        assert (answer_to(SECRET, 7, DESCRIBE, made.metadata) is not None) is is_good


# --- Where a client's secret comes from


def test_where_the_secret_comes_from(ports: Ports, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    address = ports.addresses["Inference"]
    tmp_path.chmod(0o700)
    for name in ("CLUSTER_SECRET", "CLUSTER_SECRET_FILE", "CLUSTER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(
        UnauthenticatedError, match=r"the secret of this cluster was not given; give .*CLUSTER_SECRET_FILE"
    ):
        cluster.connect(address)
    (tmp_path / "ggml-cluster").mkdir(0o700)
    write_secret(tmp_path / "ggml-cluster" / "client-secret", SECRET)
    cluster.connect(address).close()
    write_secret(tmp_path / "another", OTHER)
    monkeypatch.setenv("CLUSTER_SECRET_FILE", str(tmp_path / "another"))
    with pytest.raises(UnauthenticatedError):
        cluster.connect(address)
    monkeypatch.setenv("CLUSTER_SECRET", SECRET.text)
    cluster.connect(address).close()
    with pytest.raises(UnreachableError):
        cluster.connect(address, OTHER.text)
    monkeypatch.setenv("CLUSTER_SECRET", OTHER.text)
    cluster.connect(address, tmp_path / "ggml-cluster" / "client-secret").close()


# --- Connections


def changed_options(**changes: int) -> tuple[tuple[str, Any], ...]:
    """Those of our servers, with other numbers: the real ones take minutes, or hundreds of connections."""
    options = dict(SERVER_OPTIONS)
    for name, value in changes.items():
        assert options[f"grpc.{name}"] > value
        options[f"grpc.{name}"] = value
    return tuple(options.items())


def test_pings_beyond_all_measure_end_a_strangers_connection(ports: Ports) -> None:
    ping = b"\0\0\x08\x06\0\0\0\0\0" + b"x" * 8
    for address in ports.addresses.values():
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as stranger:
            stranger.sendall(PREFACE + ping * 200)
            heard = b""
            while part := stranger.recv(65536):
                heard += part
            assert b"too_many_pings" in heard


def test_a_stranger_who_does_not_speak_http_is_hung_up_on(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.wire.access.guarded.SERVER_OPTIONS", changed_options(server_handshake_timeout_ms=200))
    server = StageServer(make_hello(), RecordingStage(), Listener(SECRET))
    host, _, port = server.start().rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as stranger:
        while stranger.recv(65536):
            pass
    server.stop()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_many_idle_strangers_are_hung_up_on_and_nobody_else(host: str) -> None:
    backend = EchoCluster()
    with no_thread_left(), ExitStack() as stack:
        server = InferenceServer(backend, Listener(SECRET, host))
        address = server.start()
        port = int(address.rpartition(":")[2])
        client = stack.enter_context(cluster.connect(address, SECRET.text))
        stream = client.stream("wait")
        assert next(stream).text == "w"
        for number in range(strangers.MANY_FILES):
            idle = stack.enter_context(socket.create_connection((host, port), timeout=20))
            if number % 2:
                idle.sendall(PREFACE)
            if number % 50 == 0:
                assert client.tokenize("while they come") == [1, *b"while they come"]
            last = idle
        while last.recv(65536):
            pass
        assert not backend.cancelled.is_set(), "the stream of a client who said nothing meanwhile goes on"
        stream.close()
        assert client.generate("good").text == "good"
        with cluster.connect(address, SECRET.text) as another:
            assert another.generate("good").text == "good"
        server.stop()
    backend.join()


STARVED = """
import sys
import cluster
from tests.fakes.wire_backends import SECRET
with cluster.connect(sys.argv[1], SECRET.text) as client:
    stream = client.stream("wait")
    print(next(stream).text, flush=True)
    sys.stdin.read()
"""


def test_a_client_that_stands_still_for_some_seconds_keeps_its_requests() -> None:
    """So does one whose machine has no time for it."""
    backend = EchoCluster()
    server = InferenceServer(backend, Listener(SECRET))
    command = [sys.executable, "-c", STARVED, server.start()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "w\n"
        try:
            client.send_signal(signal.SIGSTOP)
            assert not backend.cancelled.wait((KEEPALIVE_TIME_MS + PING_TIMEOUT_MS) / 1000 + 2)
            client.send_signal(signal.SIGCONT)
            assert not backend.cancelled.wait(1)
        finally:
            client.kill()
    assert backend.cancelled.wait(10)
    server.stop()
    backend.join()


def test_connections_are_capped_and_closed_when_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    few = changed_options(max_allowed_incoming_connections=8, max_connection_idle_ms=300)
    monkeypatch.setattr("cluster.wire.inference.server.SERVER_OPTIONS", few)
    with no_thread_left(), ExitStack() as stack:
        server = InferenceServer(EchoCluster(), Listener(SECRET))
        host, _, port = server.start().rpartition(":")
        idle = [stack.enter_context(socket.create_connection((host, int(port)), timeout=10)) for _ in range(20)]
        for stranger in idle:
            with suppress(ConnectionError):  # those beyond the cap
                stranger.sendall(PREFACE)
                while stranger.recv(65536):
                    pass
        with cluster.connect(f"{host}:{port}", SECRET.text) as client:
            assert client.generate("good").text == "good"
        server.stop()

"""How every channel is opened and every server bound: limits, keepalive, addresses."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

import grpc
from grpc.experimental import ChannelOptions

from cluster.api.errors import UsageError
from cluster.wire.limits import MAX_MESSAGE_BYTES
from cluster.wire.transport.tls import CallerTls

# A peer that died is noticed by its closed socket, at once. Keepalive is for a peer that is stopped or cut
# off: a ping goes out after KEEPALIVE_TIME_MS without traffic, to be answered within PING_TIMEOUT_MS: that is noticed
# within three seconds. gRPC answers pings on its own threads, so a long computation does no harm; a starved machine may
# take a second, and a false alarm costs requests a pause, no more.
KEEPALIVE_TIME_MS = 1000
PING_TIMEOUT_MS = 2000
# Of clients, as the coordinator sees them. One whose machine starves it keeps its requests; one that is gone without a
# word, which is rare, keeps its slots for that long.
CLIENT_PING_TIMEOUT_MS = 10_000
CONNECT_TIMEOUT_MS = 5000
# What one server gives to connections. A client whose connection was closed because it was idle connects again with
# its next call, in some 2 ms.
IDLE_MS = 300_000
HANDSHAKE_TIMEOUT_MS = 5000  # for a stranger to begin with HTTP/2
MAX_CONNECTIONS = 1024
MAX_CALLS_PER_CONNECTION = 1024  # a client's further calls wait at its end

_COMMON_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
    ("grpc.keepalive_timeout_ms", PING_TIMEOUT_MS),
    # keepalive_timeout alone does not end the connection: the ping has its own deadline (default one minute).
    ("grpc.http2.ping_timeout_ms", PING_TIMEOUT_MS),
    ("grpc.http2.max_pings_without_data", 0),  # idle streams are pinged too, without end
    # The default window of 64 KiB would stop a step of hidden rows half-way, to wait for the reader.
    ("grpc.http2.lookahead_bytes", MAX_MESSAGE_BYTES),
    ("grpc.http2.max_frame_size", (1 << 24) - 1),  # HTTP/2's most: a decode step is one frame, not eight
)
CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    *_COMMON_OPTIONS,
    ("grpc.enable_http_proxy", 0),  # a proxy for the web has no way to our ports
    ("grpc.min_reconnect_backoff_ms", CONNECT_TIMEOUT_MS),  # so gRPC names the deadline of an attempt
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
SERVER_OPTIONS: tuple[tuple[str, Any], ...] = (
    *_COMMON_OPTIONS,
    ("grpc.so_reuseport", 0),  # a port in use is an error, not a second server on it
    ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_TIME_MS // 2),
    # Whoever pings much more often than our own ends, without a call, is cut off. Pings that a stopped process left
    # unanswered come together when it goes on, and are few.
    ("grpc.http2.max_ping_strikes", 16),
    ("grpc.max_connection_idle_ms", IDLE_MS),
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
    ("grpc.max_allowed_incoming_connections", MAX_CONNECTIONS),
    ("grpc.max_concurrent_streams", MAX_CALLS_PER_CONNECTION),
)


def patient(options: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Those of a server whose callers are clients."""
    slow = dict.fromkeys(("grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms"), CLIENT_PING_TIMEOUT_MS)
    return [(name, slow.get(name, value)) for name, value in options]


def open_channel(address: str, tls: CallerTls | None = None, *, single_threaded: bool = False) -> grpc.Channel:
    """A channel to "host:port"; it connects with the first call. UsageError if that is no address.

    Each call proves that it may be made: see `endpoint.Endpoint`, which opens channels.

    `tls`: None is for plaintext. `single_threaded`: the replies of a call with one request and many replies are read
    by the thread that iterates over them, without another thread between: a result arrives that much sooner.
    """
    check_address(address)
    options = (*CHANNEL_OPTIONS, (ChannelOptions.SingleThreadedUnaryStream, 1)) if single_threaded else CHANNEL_OPTIONS
    if tls is None:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, tls.credentials, options=(*options, *tls.options))


def open_aio_channel(address: str, tls: CallerTls | None = None) -> grpc.aio.Channel:
    """The same, for the event loop that is running."""
    check_address(address)
    if tls is None:
        return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
    return grpc.aio.secure_channel(address, tls.credentials, options=(*CHANNEL_OPTIONS, *tls.options))


def check_address(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"address: {address!r} is not host:port; give one such as 127.0.0.1:8470")


def port_of(address: str) -> int:
    """The two parts of "host:port"."""
    return int(address.rpartition(":")[2])


def host_of(address: str) -> str:
    """Without the brackets that an IPv6 address has."""
    return address.rpartition(":")[0].removeprefix("[").removesuffix("]")


def check_port_free(host: str, port: int) -> None:
    """UsageError with the system's reason if nothing can listen there (gRPC's own error hides it)."""
    try:
        family, kind, proto, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            probe.listen(1)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"port {port} on {host}: cannot listen: {reason}; give another port") from error


def bind(
    server: grpc.Server | grpc.aio.Server, host: str, port: int, credentials: grpc.ServerCredentials | None = None
) -> str:
    """The address "host:port" that `server` will listen on; port 0 takes a free one. UsageError if it cannot.

    `credentials`: None is for plaintext.
    """
    check_port_free(host, port)
    address = join_address(host, port)
    try:
        if credentials is None:
            return join_address(host, server.add_insecure_port(address))
        return join_address(host, server.add_secure_port(address, credentials))
    except RuntimeError as error:
        raise UsageError(f"port {port} on {host}: {error}; give another port") from error


def free_port_at(host: str) -> int:
    """A port of `host` that nobody had a moment ago. UsageError where `host` is not of this machine."""
    try:
        family, kind, proto, _, where = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.bind(where)
            return int(probe.getsockname()[1])
    except OSError as error:
        raise UsageError(
            f"{host}: cannot listen: {error.strerror or error}; give an address of this machine"
        ) from error


def join_address(host: str, port: int) -> str:
    """ "host:port", with the brackets that an IPv6 address needs."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

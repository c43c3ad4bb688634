"""A server of calls with one small message and one small answer, over TLS: what the three services have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.message import Message

from cluster.wire.access.strangers import Strangers
from cluster.wire.transport.channel import SERVER_OPTIONS, bind
from cluster.wire.transport.methods import register
from cluster.wire.transport.status import aborting

MAX_MESSAGE_BYTES = 64 << 10  # the largest that callers send: a request for a certificate, names, versions
_STOP_GRACE_S = 0.5
_OWN_OPTIONS: dict[str, Any] = {
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.http2.lookahead_bytes": MAX_MESSAGE_BYTES,
    "grpc.http2.max_frame_size": 1 << 14,
}
_OPTIONS = [(name, value) for name, value in SERVER_OPTIONS if name not in _OWN_OPTIONS] + list(_OWN_OPTIONS.items())
_MAX_CALLS = "grpc.max_concurrent_streams"  # of one connection

Answer = Callable[[bytes, grpc.ServicerContext], Message]


class UnaryServer:
    """Serves `methods`, by name, of one service at `address`; each gets the bytes of the request."""

    def __init__(
        self,
        service: str,
        methods: Mapping[str, Answer],
        credentials: grpc.ServerCredentials,
        *,
        num_threads: int,
        max_calls: int,
        strangers: Strangers | None = None,
        max_calls_per_connection: int = 16,
    ) -> None:
        """`max_calls`: those beyond the threads wait for one, and those beyond that are refused.

        `strangers`: for a server of its own rule; the usual one otherwise.
        """
        self.strangers = strangers or Strangers()  # to be told who is none
        self._credentials = credentials
        self._threads = ThreadPoolExecutor(num_threads, thread_name_prefix=service.lower())
        options = [
            *((name, value) for name, value in _OPTIONS if name != _MAX_CALLS),
            (_MAX_CALLS, max_calls_per_connection),
        ]
        self._server = grpc.server(self._threads, options=options, maximum_concurrent_rpcs=max_calls)
        register(self._server, service, {name: _answering(method) for name, method in methods.items()})

    def start(self, host: str, port: int) -> str:
        """The address "host:port" that it listens on. UsageError names a port that is in use."""
        address = bind(self._server, host, port, self._credentials)
        self.strangers.watch(address)
        self._server.start()
        return address

    def stop(self) -> None:
        """Ends all calls and threads."""
        self.strangers.stop()
        self._server.stop(_STOP_GRACE_S).wait()
        self._threads.shutdown()


def peer_host(context: grpc.ServicerContext) -> str:
    """The IP address that a call comes from."""
    kind, _, rest = context.peer().partition(":")
    host = rest.rpartition(":")[0]
    return host.removeprefix("%5B").removesuffix("%5D") if kind == "ipv6" else host


def _answering(method: Answer) -> Answer:
    def answered(request: bytes, context: grpc.ServicerContext) -> Message:
        with aborting(context):
            return method(request, context)
        raise AssertionError("a call that was aborted goes no further")

    return answered

"""GuardedServer: a gRPC server with threads that answers only those who prove to know its secret."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc

from cluster.wire.access.endpoint import Listener
from cluster.wire.access.gate import Gate
from cluster.wire.access.strangers import Strangers
from cluster.wire.transport.channel import SERVER_OPTIONS
from cluster.wire.transport.methods import Methods, register

_STOP_GRACE_S = 0.5


class GuardedServer:
    """One service at one port, on threads of its own."""

    def __init__(
        self, listener: Listener, service: str, methods: Methods, name: str, num_threads: int, max_calls: int
    ) -> None:
        """`name`: of the threads. Calls beyond `num_threads` wait for one, those beyond `max_calls` are refused."""
        self._listener = listener
        self._threads = ThreadPoolExecutor(num_threads, thread_name_prefix=name)
        self._strangers = Strangers()
        self._server = grpc.server(
            self._threads,
            interceptors=[Gate(listener, self._strangers)],
            options=SERVER_OPTIONS,
            maximum_concurrent_rpcs=max_calls,
        )
        register(self._server, service, methods)

    def start(self) -> str:
        """The address "host:port" that it listens on. UsageError names a port that is in use."""
        address = self._listener.bind(self._server)
        self._strangers.watch(address)
        self._server.start()
        return address

    def stop(self) -> None:
        """Ends all calls and threads."""
        self._strangers.stop()
        self._server.stop(_STOP_GRACE_S).wait()
        self._threads.shutdown()

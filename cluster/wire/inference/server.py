"""The gRPC server that clients talk to: an event loop in a thread of its own, beside the engine's."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import grpc

from cluster.wire.access.endpoint import Listener
from cluster.wire.access.gate import AioGate
from cluster.wire.access.strangers import Strangers
from cluster.wire.inference.backend import InferenceBackend
from cluster.wire.inference.streams import InferenceStreams
from cluster.wire.transport.channel import SERVER_OPTIONS, patient
from cluster.wire.transport.keeping import KEEPS
from cluster.wire.transport.methods import register

MAX_STREAMS = 4096
_STOP_GRACE_S = 1.0


class InferenceServer:
    """Serves a backend to clients who know the secret. `start` and `stop` are for one thread, once each."""

    def __init__(self, backend: InferenceBackend, listener: Listener) -> None:
        self._backend = backend
        self._strangers = Strangers()
        self._gate = AioGate(listener, self._strangers, KEEPS if backend.keeps_requests else ())
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="inference-server", daemon=True)
        self._address: Future[str] = Future()

    def start(self) -> str:
        """The address "host:port" that it listens on. UsageError names a port that is in use."""
        self._thread.start()
        return self._address.result()

    def stop(self) -> None:
        """Ends all streams with UnreachableError, cancels their requests, and ends the thread."""
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._address.done():
                raise
            self._address.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        server = grpc.aio.server(
            interceptors=(self._gate,), options=patient(SERVER_OPTIONS), maximum_concurrent_rpcs=MAX_STREAMS
        )
        address = self._listener.bind(server)
        streams = InferenceStreams(self._backend)
        register(server, "Inference", streams.methods())
        self._strangers.watch(address)
        await server.start()
        self._address.set_result(address)
        await self._stopping.wait()
        self._strangers.stop()
        streams.end_all()
        await server.stop(_STOP_GRACE_S)
        streams.close()

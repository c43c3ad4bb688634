"""The HTTP server: a thread with an event loop of its own, and uvicorn on it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from concurrent.futures import Future

import uvicorn

from cluster.api.errors import ClusterError, UsageError
from cluster.http.answering import Answering
from cluster.http.app import application
from cluster.http.connection import Connection
from cluster.http.fetching import PictureFetcher
from cluster.http.limits import MAX_HEADER_BYTES, SEND_BUFFER_BYTES
from cluster.http.link import Link
from cluster.http.metrics import Metrics
from cluster.http.own_cluster import FindEndpoint
from cluster.http.server import Server
from cluster.http.settings import HttpSettings
from cluster.http.watching.watch import Watch

BACKLOG = 1024
IDLE_S = 75  # a connection between two requests; longer than the pools of clients and proxies keep one
TICK_S = 1.0
DRAIN_POLL_S = 0.05
DRAIN_S = 10.0  # for answers to end, when a server is asked to leave
END_S = 5.0  # for connections to be closed
_log = logging.getLogger(__name__)


class HttpService:
    """Serves while the cluster does not, too: then it says so, and goes on as soon as the cluster is there."""

    def __init__(self, settings: HttpSettings, find: FindEndpoint) -> None:
        """`find`: the coordinator's endpoint, for clients; asked again whenever the cluster has gone away."""
        self._settings = settings
        self._find = find
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._drain_s = 0.0

    def start(self) -> str:
        """Listen. Returns "http://host:port", or https; UsageError where nothing can listen there."""
        _check_certificate(self._settings)
        listening = _listening(self._settings.host, self._settings.port)
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(listening, started), name="http", daemon=True)
        self._thread.start()
        started.result()
        host = self._settings.host
        scheme = "https" if self._settings.ssl_cert_file else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"

    def stop(self, drain_s: float = 0.0) -> None:
        """New requests are refused at once; those that are open have `drain_s` to end. Then the thread ends.

        From any thread; a second call, from another one, ends what a first one waits for.
        """
        loop, stopping = self._loop, self._stopping
        if self._thread is None or loop is None or stopping is None:
            return
        self._drain_s = 0.0 if stopping.is_set() else drain_s
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(stopping.set)
        self._thread.join()

    def _run(self, listening: socket.socket, started: Future[None]) -> None:
        try:
            asyncio.run(self._serve(listening, started))
        except Exception as error:
            _log.exception("the HTTP server ended")
            if not started.done():
                started.set_exception(ClusterError(f"http: {error!r}; report a bug"))

    async def _serve(self, listening: socket.socket, started: Future[None]) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        link = Link(self._settings, self._find)
        metrics = Metrics()
        fetcher = PictureFetcher() if self._settings.fetch_pictures else None
        answering = Answering(link, metrics, self._settings.max_streams, fetcher)
        watch = Watch(link)
        server = Server(self._settings, link, answering, metrics, watch)
        uvicorn_server = uvicorn.Server(_config(server))
        serving = asyncio.create_task(uvicorn_server.serve(sockets=[listening]))
        ticking = asyncio.create_task(_tick(answering))
        link.start()
        watch.start()
        started.set_result(None)
        try:
            await self._stopping.wait()
            link.is_draining = True
            await self._drain(answering)
        finally:
            ticking.cancel()
            answering.cancel_all()
            uvicorn_server.should_exit = True
            await asyncio.gather(serving, ticking, return_exceptions=True)
            answering.close()
            await watch.stop()
            await link.stop()

    async def _drain(self, answering: Answering) -> None:
        """Until none is open, or it was waited for long enough; a second call of `stop` sets that to nothing."""
        now_s = asyncio.get_running_loop().time
        begun_s = now_s()
        while answering.num_open and now_s() < begun_s + self._drain_s:
            await asyncio.sleep(DRAIN_POLL_S)


async def _tick(answering: Answering) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        answering.tick()


def _config(server: Server) -> uvicorn.Config:
    return uvicorn.Config(
        application(server),
        http=Connection,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,  # ours says no more than it should
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=int(END_S),
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        backlog=BACKLOG,
        ssl_certfile=server.settings.ssl_cert_file or None,
        ssl_keyfile=server.settings.ssl_key_file or None,
    )


def _check_certificate(settings: HttpSettings) -> None:
    """UsageError for one that cannot be shown."""
    if settings.ssl_cert_file:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
                settings.ssl_cert_file, settings.ssl_key_file
            )
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or error
            raise UsageError(
                f"ssl-cert-file: {settings.ssl_cert_file}: {reason}; give a PEM file, and its key"
            ) from error


def _listening(host: str, port: int) -> socket.socket:
    """UsageError with the system's reason."""
    found: socket.socket | None = None
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # of all connections, too
        found.bind(where)
        found.listen(BACKLOG)
    except OSError as error:
        if found is not None:
            found.close()
        raise UsageError(
            f"http: nothing can listen at {host}:{port} ({error.strerror or error}); give --http another port, or 0"
        ) from error
    found.setblocking(False)
    return found

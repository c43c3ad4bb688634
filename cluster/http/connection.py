"""One connection: uvicorn's, with bounds on who may hold one, and told at once when its client has gone."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any, cast

import h11
import orjson
from uvicorn.protocols.http.h11_impl import H11Protocol

from cluster.http.errors import INVALID
from cluster.http.faces.envelopes import openai_error
from cluster.http.faces.face import Problem
from cluster.http.limits import MAX_CONNECTIONS, REQUEST_S, WRITE_BUFFER_BYTES

_KEY = "cluster_connection"  # in the state of a scope


class Connection(H11Protocol):
    """A connection that is over its number is closed before anything is read of it."""

    on_lost: Callable[[], object] | None = None  # called once, when the client has gone

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, _KEY: self}
        transport.set_write_buffer_limits(WRITE_BUFFER_BYTES)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        # A request must be said at some time: whoever opens connections and says half of one is not waited for.
        self._arm()

    def data_received(self, data: bytes) -> None:
        had_cycle = self.cycle
        super().data_received(data)
        if self.cycle is had_cycle and self.conn.their_state is h11.IDLE and self.timeout_keep_alive_task is None:
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        lost, self.on_lost = self.on_lost, None
        if lost is not None:
            lost()

    def abort(self) -> None:
        """Close it now; what the client has not taken is dropped, the kernel's part of it too."""
        opened = self.transport.get_extra_info("socket")
        if opened is not None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """In the words that clients read, where uvicorn has plain text."""
        body = orjson.dumps(openai_error(Problem(400, INVALID, f"request: {msg}")))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _arm(self) -> None:
        """Close it, unless a request has come by then. uvicorn disarms this one as it does its own."""
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(REQUEST_S, self.timeout_keep_alive_handler)


def connection_of(scope: Any) -> Connection:
    """The connection of a request."""
    return cast(Connection, scope["state"][_KEY])

"""The port of the HTTP server."""

from __future__ import annotations

from contextlib import suppress

from cluster.api.errors import UsageError
from cluster.http_config import DEFAULT_PORT, HttpAddress
from cluster.wire.transport.channel import check_port_free, free_port_at

NUM_TRIES = 64  # ports behind the usual one, before any other


def chosen_port(where: HttpAddress) -> int:
    """The one that was asked for; else the usual one, or the next that is free: nobody asked for a certain one."""
    if where.port:
        return where.port
    if where.port is None:
        for port in range(DEFAULT_PORT, DEFAULT_PORT + NUM_TRIES):
            with suppress(UsageError):
                check_port_free(where.host, port)
                return port
    return free_port_at(where.host)

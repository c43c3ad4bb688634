"""Who asks: the one place that decides what a client is, for all that is shared between clients."""

from __future__ import annotations

from typing import Any

import grpc


def client_name(context: grpc.ServicerContext | grpc.aio.ServicerContext[Any, Any]) -> str:
    """Names the client of a call, for shares of slots, queue and threads.

    A client is a connection: calls over one channel are one client's, and so are those of all channels of a process
    to one address with the same options, which gRPC sends over one connection. An identity that a client proves can
    take its place here.
    """
    return str(context.peer())

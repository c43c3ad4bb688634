"""The channels of a client: opened with the first call, for the process and the event loop that make it."""

from __future__ import annotations

import asyncio
import os
import threading
from weakref import WeakKeyDictionary

import grpc

from cluster.api.errors import UsageError
from cluster.wire.access.endpoint import Endpoint
from cluster.wire.transport.channel import check_address

# The process whose threads serve the channels. A child of it that was forked has the sockets, but not the threads:
# what it calls waits for ever or ends in an abort, over new channels too (measured with grpcio 1.85).
_process: int | None = None


def check_process() -> None:
    """UsageError in a process that was forked from one in which calls were made."""
    global _process
    if _process is None:
        _process = os.getpid()
    elif _process != os.getpid():
        raise UsageError(
            "client: this process was forked from one that talks to a cluster, and gRPC does not survive that; "
            "start it with multiprocessing's 'spawn', or connect in the children only"
        )


class Connection:
    """To one endpoint. Threads may share it; an object that was never used survives a fork."""

    def __init__(self, endpoint: Endpoint) -> None:
        """UsageError if its address is not "host:port"."""
        check_address(endpoint.address)
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._is_closed = False

    def channel(self) -> grpc.Channel:
        """The channel, opened now if need be. UsageError after `close`, and in a forked process."""
        check_open(self._is_closed)
        with self._lock:
            if self._channel is None:
                self._channel = self._endpoint.open_channel()
            return self._channel

    def close(self) -> None:
        """Cancels what is running. The channel of the parent of a forked process stays as it is."""
        self._is_closed = True
        if self._channel is not None and _process == os.getpid():
            self._channel.close()


class AioConnection:
    """To one endpoint, with a channel for each event loop that calls: it may be made where no loop runs."""

    def __init__(self, endpoint: Endpoint) -> None:
        """UsageError if its address is not "host:port"."""
        check_address(endpoint.address)
        self._endpoint = endpoint
        self._channels: WeakKeyDictionary[asyncio.AbstractEventLoop, grpc.aio.Channel] = WeakKeyDictionary()
        self._is_closed = False

    def channel(self) -> grpc.aio.Channel:
        """The channel of the running loop, opened now if need be. UsageError as in `Connection`, or if none runs."""
        check_open(self._is_closed)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise UsageError("client: no event loop runs; call it from a coroutine, or use cluster.connect()") from None
        if loop not in self._channels:
            self._channels[loop] = self._endpoint.open_aio_channel()
        return self._channels[loop]

    async def close(self) -> None:
        """Cancels what is running on this loop. A loop that has ended has nothing running any more."""
        self._is_closed = True
        channel = self._channels.pop(asyncio.get_running_loop(), None)
        if channel is not None and _process == os.getpid():
            await channel.close(None)


def check_open(is_closed: bool) -> None:
    if is_closed:
        raise UsageError("client: it is closed; connect again")
    check_process()

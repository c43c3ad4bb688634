"""A TCP proxy that makes a line slow or breaks it, in user space: this needs nothing of the kernel.

Runs alone on a host: ``python -I delay_proxy.py LISTEN:PORT TARGET:PORT [DELAY_S]``. As TARGET:PORT, ``there`` means
where each connection was going before the kernel redirected it here; our own then carry `MARK`. Lines on stdin change
it, each answered by "ok": ``delay S`` (each way), ``hold`` (nothing passes, connections stay), ``go``, ``drop`` (reset
all that are open), ``refuse`` (and close new ones), ``accept``. It ends with its stdin. The order of bytes is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import time
from collections.abc import Coroutine

MARK = 7
SO_ORIGINAL_DST = 80
THERE = "there"
CHUNK_BYTES = 2**16
NUM_CHUNKS_HELD = 1024  # per direction: behind them the sender waits, as on a real line


class Line:
    """What all connections through the proxy have in common."""

    def __init__(self, target: tuple[str, int] | None, delay_s: float) -> None:
        """`target`: None is where each was going."""
        self.target = target
        self.delay_s = delay_s
        self.refuses = False
        self.passes = asyncio.Event()
        self.passes.set()
        self.open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        if self.refuses:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await self._reach(writer.get_extra_info("socket"))
        except OSError:
            writer.transport.abort()
            return
        self.open |= {writer, far_writer}
        await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))
        self.open -= {writer, far_writer}
        for each in (writer, far_writer):
            each.close()

    async def _reach(self, near: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.target is not None:
            return await asyncio.open_connection(*self.target)
        _, port, address = struct.unpack_from("=HH4s", near.getsockopt(socket.IPPROTO_IP, SO_ORIGINAL_DST, 16))
        far = socket.socket()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        far.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(far, (socket.inet_ntoa(address), socket.ntohs(port)))
        except BaseException:
            far.close()
            raise
        return await asyncio.open_connection(sock=far)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction: what arrives leaves `delay_s` later, and the end of it, too."""
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(NUM_CHUNKS_HELD)
        self._spawn(self._take(reader, held))
        with contextlib.suppress(OSError):
            while True:
                due_s, chunk = await held.get()
                await asyncio.sleep(due_s - time.monotonic())
                await self.passes.wait()
                if not chunk:
                    break
                writer.write(chunk)
                await writer.drain()
            writer.write_eof()

    async def _take(self, reader: asyncio.StreamReader, held: asyncio.Queue[tuple[float, bytes]]) -> None:
        chunk = b"-"
        while chunk:
            try:
                chunk = await reader.read(CHUNK_BYTES)
            except OSError:
                chunk = b""
            await held.put((time.monotonic() + self.delay_s, chunk))

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the loop itself does not hold it
        task.add_done_callback(self._tasks.discard)

    def obey(self, order: str) -> None:
        verb, _, value = order.partition(" ")
        if verb == "delay":
            self.delay_s = float(value)
        elif verb == "hold":
            self.passes.clear()
        elif verb == "go":
            self.passes.set()
        elif verb == "drop":
            for writer in self.open:
                writer.transport.abort()
        elif verb in ("refuse", "accept"):
            self.refuses = verb == "refuse"


def split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


async def main(listen: str, target: str, delay_s: float) -> None:
    line = Line(None if target == THERE else split(target), delay_s)
    server = await asyncio.start_server(line.connect, *split(listen))
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    print("ready", flush=True)
    while order := await orders.readline():
        line.obey(order.decode().strip())
        print("ok", flush=True)
    server.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 0.0))

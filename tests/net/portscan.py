"""Many hostile connections to ports: nonsense, halves of handshakes, other protocols, and silence.

Runs alone on a host: ``python -I portscan.py COUNT ADDRESS:PORT ...`` makes COUNT connections to each, as many of every
kind, and writes a JSON object: by target and kind, how many of them could connect, and how many got any answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
import struct
import sys

NUM_AT_ONCE = 400
LINGER_S = 0.2  # how long an answer is waited for; silent connections are held as long
RESET_AT_ONCE = struct.pack("ii", 1, 0)


def client_hello() -> bytes:
    """The first flight of a real TLS handshake, without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


HELLO = client_hello()
HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SAID = {
    "noise": os.urandom(512),
    "silence": b"",
    "reset": b"",
    "http": b"GET / HTTP/1.1\r\nHost: cluster\r\nContent-Length: 99999999\r\n\r\n",
    "http/2 and noise": HTTP_2 + os.urandom(256),
    "http/2 huge frame": HTTP_2 + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + bytes(1024),
    "tls": HELLO,
    "tls, half": HELLO[: len(HELLO) // 2],
    "tls, garbled": HELLO[:43] + os.urandom(len(HELLO) - 43),
    "tls, huge record": b"\x16\x03\x01\xff\xff" + bytes(1024),
}


async def visit(kind: str, address: str, port: int, counts: dict[str, int]) -> None:
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        reader, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 10)
        counts["connected"] += 1
        try:
            writer.write(SAID[kind])
            if kind == "reset":
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
            elif await asyncio.wait_for(reader.read(1), LINGER_S):
                counts["answered"] += 1
        finally:
            writer.transport.abort()


async def scan(count: int, targets: list[str]) -> dict[str, dict[str, dict[str, int]]]:
    counts = {target: {kind: {"connected": 0, "answered": 0} for kind in SAID} for target in targets}
    kinds = list(SAID)
    left = ((target, kinds[number % len(kinds)]) for number in range(count) for target in targets)

    async def visits() -> None:
        for target, kind in left:
            address, _, port = target.rpartition(":")
            await visit(kind, address, int(port), counts[target][kind])

    await asyncio.gather(*(visits() for _ in range(NUM_AT_ONCE)))
    return counts


if __name__ == "__main__":
    print(json.dumps(asyncio.run(scan(int(sys.argv[1]), sys.argv[2:]))))

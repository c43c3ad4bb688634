"""Somebody who pretends to be the head of a cluster, and writes down what he is told.

Runs alone on a host: ``python -I false_head.py ADDRESS PORT CHAIN KEY`` answers TLS with the certificates of CHAIN, and
writes a line in hexadecimal for each connection: what came after the handshake.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading

LISTEN_S = 3.0


def hear(connection: socket.socket, context: ssl.SSLContext) -> None:
    heard = b""
    with contextlib.suppress(OSError), connection:
        connection.settimeout(LISTEN_S)
        with context.wrap_socket(connection, server_side=True) as secure:
            while part := secure.recv(2**16):
                heard += part
                if heard.startswith(b"PRI") and len(heard) == len(part):
                    secure.sendall(b"\0\0\0\x04\0\0\0\0\0")  # empty settings, so that a client of gRPC goes on
    print("heard", heard.hex(), flush=True)


def main(address: str, port: int, chain: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    context.set_alpn_protocols(["h2"])
    with socket.create_server((address, port)) as server:
        print("listens", flush=True)
        while True:
            threading.Thread(target=hear, args=(server.accept()[0], context), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])

"""The head calls back before it admits a node: an address that others cannot reach is told now, not by a hung model.

The machine that joins answers each connection to its node port with the number that it has sent the head, so that
the head knows that it has reached this machine and no other.
"""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
import threading
import time
from collections.abc import Iterator

from cluster.api.errors import UnreachableError, UsageError

NONCE_CHARS = 32
TIMEOUT_S = 5.0
_ACCEPT_S = 0.1


def new_nonce() -> str:
    """Hexadecimal digits that nobody else has."""
    return secrets.token_hex(NONCE_CHARS // 2)


def dial_back(host: str, port: int, nonce: str, timeout_s: float = TIMEOUT_S) -> None:
    """UnreachableError, with the reason, unless `nonce` is read at `host`:`port` in time."""
    deadline, heard = time.monotonic() + timeout_s, b""
    try:
        with socket.create_connection((host, port), timeout_s) as connection:
            while len(heard) < len(nonce):
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                part = connection.recv(len(nonce) - len(heard))
                if not part:
                    break
                heard += part
    except TimeoutError:
        raise _unreached(host, port, f"no answer within {timeout_s:g} s") from None
    except OSError as error:
        raise _unreached(host, port, error.strerror or str(error)) from None
    if heard != nonce.encode():
        raise _unreached(host, port, "another program answers there")


@contextlib.contextmanager
def answering(host: str, port: int, nonce: str) -> Iterator[None]:
    """In the block, whoever connects to `host`:`port` of this machine is sent `nonce`.

    UsageError if we cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(8)
        except OSError as error:
            raise _cannot_listen(host, port, error) from error
        listener.settimeout(_ACCEPT_S)
        is_over = threading.Event()
        thread = threading.Thread(target=_answer, args=(listener, nonce.encode(), is_over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # it waits no longer
            thread.join()


def _answer(listener: socket.socket, nonce: bytes, is_over: threading.Event) -> None:
    while not is_over.is_set():
        with contextlib.suppress(OSError):  # nobody came, or has left again
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(_ACCEPT_S)
                connection.sendall(nonce)


def _unreached(host: str, port: int, reason: str) -> UnreachableError:
    return UnreachableError(
        f"the head cannot reach this machine at {host} port {port}: {reason}; open the cluster's ports in the "
        "firewalls between both, or give another address of this machine: --advertise-address"
    )


def _cannot_listen(host: str, port: int, error: OSError) -> UsageError:
    if error.errno == errno.EADDRINUSE:
        return UsageError(
            f"port {port} on {host}: in use; cluster join runs on this machine already, or another program has the port"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return UsageError(f"address: {host} is not one of this machine; give one of its own: --advertise-address")
    return UsageError(f"port {port} on {host}: cannot listen: {error.strerror or error}; give another address or port")

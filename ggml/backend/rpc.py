"""Devices of other processes and machines, over ggml's own RPC.

python -m ggml.backend.rpc 127.0.0.1:50052      # serves this machine's CPU until it is ended
"""

from __future__ import annotations

import sys

import worker_native
from ggml.core.devices import Device, device, look_again
from ggml.core.errors import ArgumentError, GgmlError
from ggml.graph.threads import get_num_threads


def add_rpc_server(endpoint: str) -> list[Device]:
    """The devices of a ggml RPC server at ``host:port``, which are devices of this process from now on.

    ggml speaks to it without encryption or passwords, and ends this process if the server goes away: only for
    machines and networks of your own.
    """
    host, colon, port = endpoint.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise ArgumentError("add_rpc_server", repr(endpoint), "is not of the form host:port")
    try:
        names = worker_native.add_rpc_server(endpoint)
    except RuntimeError as error:
        raise GgmlError(f"add_rpc_server: {endpoint}: {str(error).splitlines()[0].rpartition(': ')[2]}") from None
    look_again()
    return [device(name) for name in names]


def main(arguments: list[str]) -> int:
    """Serve a device at ``host:port``; it only returns if it could not listen."""
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    worker_native.serve_rpc(arguments[0], arguments[1] if len(arguments) == 2 else "CPU", get_num_threads())
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

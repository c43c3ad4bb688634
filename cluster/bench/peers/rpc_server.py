"""A peer process: one llama.cpp RPC server.

    python -m cluster.bench.peers.rpc_server ENDPOINT THREADS DEVICE

Says {"ready": true} just before it listens. Ends with its parent.
"""

from __future__ import annotations

import ctypes
import os
import sys

from cluster.api.errors import ClusterError
from cluster.node.child import answer, die_with_parent


def main() -> int:
    die_with_parent()
    from cluster.bench.peers.native import rpc_library
    from cluster.node.libllama import device

    endpoint, num_threads, device_name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    try:
        library = rpc_library()
        devices = (ctypes.c_void_p * 1)(device(device_name))
    except ClusterError as error:
        answer({"error": str(error)})
        return 1
    answer({"ready": True})
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # it talks on stdout, which nobody reads
    library.ggml_backend_rpc_start_server(endpoint.encode(), None, num_threads, 1, devices)
    return 1  # it only returns when it could not listen


if __name__ == "__main__":
    sys.exit(main())

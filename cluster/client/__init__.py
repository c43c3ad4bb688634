"""The clients of a cluster, for threads and for asyncio: `cluster.connect()` and what can be asked. No Ray."""

import os

# Where TLS fails, gRPC writes to stderr beside what it raises, which says it to whoever asked. It reads this when it is
# loaded.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

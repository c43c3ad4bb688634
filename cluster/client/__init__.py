"""The clients of a cluster, for threads and for asyncio: `cluster.connect()` and what can be asked. No Ray."""

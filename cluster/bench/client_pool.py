"""Threads that play clients."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def client_pool(num_threads: int) -> Iterator[ThreadPoolExecutor]:
    """So many threads. After an error what waits is dropped and what runs is waited for; after an interrupt not even
    that: it ends with the client."""
    threads = ThreadPoolExecutor(num_threads, "bench")
    try:
        yield threads
        threads.shutdown()
    except Exception:
        threads.shutdown(cancel_futures=True)
        raise
    except BaseException:
        threads.shutdown(wait=False, cancel_futures=True)
        raise

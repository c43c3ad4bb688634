"""Threads that clients share: one that asks for very much waits for itself, and keeps nobody else waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import wait

import pytest

from cluster.fairness.threads import FairThreads
from tests.fakes.wire_backends import no_thread_left


@pytest.fixture
def threads() -> Iterator[FairThreads]:
    with no_thread_left():
        found = FairThreads(4, "shared")
        yield found
        found.shutdown()


def test_it_gives_back_results_and_errors(threads: FairThreads) -> None:
    assert threads.submit("one", divmod, 7, 2).result(10) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        threads.submit("one", divmod, 7, 0).result(10)


def test_a_client_that_fills_its_share_keeps_no_other_out(threads: FairThreads) -> None:
    release = threading.Event()
    hog = [threads.submit("hog", release.wait, 20) for _ in range(50)]
    assert threads.submit("another", lambda: "at once").result(10) == "at once"
    assert sum(future.running() for future in hog) == 2, "half of the threads"
    third = [threads.submit(f"client {number}", lambda: "its turn") for number in range(20)]
    assert {future.result(10) for future in third} == {"its turn"}
    assert not any(future.done() for future in hog)
    release.set()
    assert all(future.result(10) for future in hog)


def test_clients_take_turns(threads: FairThreads) -> None:
    order: list[str] = []
    gate = threading.Event()
    blocked = [threads.submit(f"blocker {number}", gate.wait, 20) for number in range(3)]
    step = threading.Semaphore(0)
    first = threads.submit("many", step.acquire)  # the only free thread
    queued = [threads.submit("many", order.append, f"many {number}") for number in range(3)]
    queued += [threads.submit("few", order.append, f"few {number}") for number in range(2)]
    step.release()
    for future in (first, *queued):
        future.result(10)
    assert order == ["few 0", "many 0", "few 1", "many 1", "many 2"]
    gate.set()
    assert all(future.result(10) for future in blocked)


def test_what_was_cancelled_is_never_done(threads: FairThreads) -> None:
    release, done = threading.Event(), []
    held = [threads.submit("one", release.wait, 20) for _ in range(2)]
    late = threads.submit("one", done.append, 1)
    assert late.cancel()
    release.set()
    for future in held:
        future.result(10)
    assert threads.submit("one", lambda: "on").result(10) == "on"
    assert done == []


def test_shutdown_cancels_what_was_not_begun() -> None:
    with no_thread_left():
        threads, release = FairThreads(1, "shared"), threading.Event()
        begun = threads.submit("one", release.wait, 20)
        waiting = threads.submit("one", release.wait, 20)
        ending = threading.Thread(target=threads.shutdown)
        ending.start()
        assert waiting.cancelled() or wait([waiting], 10).done
        release.set()
        ending.join(10)
        assert begun.result(0)
        assert waiting.cancelled()

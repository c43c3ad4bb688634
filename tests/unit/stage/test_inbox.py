"""The computing thread takes what waits, and ends once it is told to, whatever else happens meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from cluster.stage.inbox import MAX_QUEUED_STEPS, Inbox
from tests.fakes.wire_backends import make_batch, make_hello


def test_a_new_epoch_drops_what_waits() -> None:
    inbox = Inbox()
    inbox.put((make_batch(1), None, 0))
    inbox.drain()
    hello = make_hello()
    inbox.put(hello)
    assert inbox.get() is hello


def test_one_that_was_stopped_ends_even_if_an_epoch_begins_then() -> None:
    """A neighbour that says Hello once more, while this stage is taken down, must not keep its thread alive."""
    inbox = Inbox()
    inbox.put(make_hello())
    inbox.stop()
    inbox.drain()
    inbox.put(make_hello())
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(inbox.get).result(10) is None


def test_who_waits_to_put_waits_no_more_once_it_is_stopped() -> None:
    inbox = Inbox()
    for step in range(MAX_QUEUED_STEPS):
        inbox.put((make_batch(step), None, 0))
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(inbox.put, (make_batch(MAX_QUEUED_STEPS), None, 0))
        inbox.stop()
        waiting.result(10)

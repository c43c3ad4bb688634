"""Threads that read the answers to several prompts."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any

from cluster.api.errors import ClusterError
from cluster.api.results import Completion
from cluster.client import calls
from cluster.client.batch.batch import Batch
from cluster.client.calls import Call, GenerateRequest
from cluster.client.completion import Completions, Outcome
from cluster.client.stream import Messages

Open = Callable[[Call[Any]], Messages]  # begins a call


def complete_one(open_call: Open, request: GenerateRequest) -> Completion:
    """What becomes of one prompt; its error is raised."""
    call, completions = calls.complete_call([request])
    messages = open_call(call)
    try:
        ((_, outcome),) = _outcomes(messages, call, completions)
    finally:
        messages.close()
    if isinstance(outcome, ClusterError):
        raise outcome
    return outcome


def run_batch(open_call: Open, batch: Batch[GenerateRequest]) -> None:
    """Threads read the answers; this one decides. However it ends, no call is left open."""
    outcomes: SimpleQueue[tuple[int, Outcome | BaseException]] = SimpleQueue()
    running: set[Messages] = set()
    stopping = threading.Event()

    def run(places: list[int], requests: list[GenerateRequest]) -> None:
        try:
            call, completions = calls.complete_call(requests)
            messages = open_call(call)
            running.add(messages)
            if stopping.is_set():
                messages.close()
            try:
                for request, outcome in _outcomes(messages, call, completions):
                    outcomes.put((places[request], outcome))
            finally:
                running.discard(messages)
        except BaseException as error:
            outcomes.put((places[0], error))

    with ThreadPoolExecutor(batch.max_open, "cluster-generate") as threads:
        try:
            while not batch.is_done:
                for places, requests in calls.in_calls(batch.to_send(time.monotonic())):
                    threads.submit(run, places, requests)
                _settle_some(batch, outcomes)
        finally:
            stopping.set()
            threads.shutdown(wait=False, cancel_futures=True)
            for messages in tuple(running):
                messages.close()


def _outcomes(
    messages: Iterator[bytes], call: Call[calls.Outputs], completions: Completions
) -> Iterator[tuple[int, Outcome]]:
    """What becomes of each request of the call, as they end; if the call ends before them, its error."""
    try:
        for data in messages:
            yield from completions.add(call.decode(data))
    except ClusterError as error:
        yield from completions.end(error)
    else:
        yield from completions.end()


def _settle_some(batch: Batch[Any], outcomes: SimpleQueue[tuple[int, Outcome | BaseException]]) -> None:
    """Wait for an answer, no longer than until the batch has more to send; take those that came with it too."""
    if batch.is_done:  # the last prompts could not be sent at all
        return
    timeout_s = batch.wait_s(time.monotonic())
    with contextlib.suppress(Empty):
        while True:
            place, outcome = outcomes.get(timeout=timeout_s)
            if not isinstance(outcome, Completion | ClusterError):
                raise outcome
            batch.settle(place, outcome, time.monotonic())
            timeout_s = 0.0

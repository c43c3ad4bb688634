"""Tasks of an event loop that read the answers to several prompts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from cluster.api.errors import ClusterError
from cluster.api.results import Completion
from cluster.client import calls
from cluster.client.aio_stream import AsyncMessages
from cluster.client.batch.batch import Batch
from cluster.client.calls import Call, GenerateRequest
from cluster.client.completion import Outcome

Open = Callable[[Call[Any]], AsyncMessages]  # begins a call


async def complete_one(open_call: Open, request: GenerateRequest) -> Completion:
    """What becomes of one prompt; its error is raised."""
    ((_, outcome),) = [found async for found in _outcomes(open_call, [request])]
    if isinstance(outcome, ClusterError):
        raise outcome
    return outcome


async def _outcomes(open_call: Open, requests: list[GenerateRequest]) -> AsyncIterator[tuple[int, Outcome]]:
    """What becomes of each request of one call, as they end; if the call ends before them, its error."""
    call, completions = calls.complete_call(requests)
    messages = open_call(call)
    ended: list[tuple[int, Outcome]]
    try:
        async for data in messages:
            for one in completions.add(call.decode(data)):
                yield one
    except ClusterError as error:
        ended = completions.end(error)
    else:
        ended = completions.end()
    finally:
        messages.close()
    for one in ended:
        yield one


async def run_batch(open_call: Open, batch: Batch[GenerateRequest]) -> None:
    """However it ends, no call is left open."""
    outcomes: asyncio.Queue[tuple[int, Outcome | Exception]] = asyncio.Queue()
    running: set[asyncio.Task[None]] = set()

    async def run(places: list[int], requests: list[GenerateRequest]) -> None:
        try:
            async for request, outcome in _outcomes(open_call, requests):
                outcomes.put_nowait((places[request], outcome))
        except Exception as error:
            outcomes.put_nowait((places[0], error))

    try:
        while not batch.is_done:
            for places, requests in calls.in_calls(batch.to_send(time.monotonic())):
                task = asyncio.create_task(run(places, requests))
                running.add(task)
                task.add_done_callback(running.discard)
            await _settle_some(batch, outcomes)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _settle_some(batch: Batch[Any], outcomes: asyncio.Queue[tuple[int, Outcome | Exception]]) -> None:
    """Wait for an answer, no longer than until the batch has more to send; take those that came with it too."""
    if batch.is_done:  # the last prompts could not be sent at all
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(batch.wait_s(time.monotonic())):
            found = [await outcomes.get()]
        while not outcomes.empty():
            found.append(outcomes.get_nowait())
        for place, outcome in found:
            if not isinstance(outcome, Completion | ClusterError):
                raise outcome
            batch.settle(place, outcome, time.monotonic())

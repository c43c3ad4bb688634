"""From what was asked to streams of the cluster: prompts are rendered in threads, since templates take their time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from cluster.api.sampling import SamplingParams
from cluster.chat.messages import ChatRequest
from cluster.chat.turn import Turn
from cluster.http.choices import Choice, Choices
from cluster.http.faces.face import Asked, RawRequest
from cluster.http.fetching import PictureFetcher
from cluster.http.link import Link
from cluster.http.raw_reader import RawReader

Result = TypeVar("Result")
_NUM_THREADS = 4


class Preparing:
    """For one event loop."""

    def __init__(self, link: Link, fetcher: PictureFetcher | None) -> None:
        """`fetcher`: of pictures that are elsewhere; None where none are fetched."""
        self._link = link
        self._fetcher = fetcher
        self._threads = ThreadPoolExecutor(_NUM_THREADS, "http-prompts")

    async def choices(self, asked: Asked) -> Choices:
        """Asks the cluster for all of them. ClusterError, or RefusedError, before anything is asked there."""
        if isinstance(asked.request, ChatRequest):
            return await self._chat(asked.request, asked.report_progress)
        return await self._raw(asked.request, asked.report_progress)

    async def turn(self, request: ChatRequest) -> Turn:
        """The prompt of a chat, ready to be asked for."""
        chat = self._link.require_chat()
        if self._fetcher is not None:
            request = await self._fetcher.fetched(request)
        return await self.call(partial(chat.prepare, request))

    async def call(self, blocking: Callable[[], Result]) -> Result:
        """In a thread, so that other requests go on."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, blocking)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _chat(self, request: ChatRequest, report_progress: bool) -> Choices:
        turn = await self.turn(request)
        client = self._link.client
        with opened() as choices:
            for index, params in enumerate(turn.params):
                stream = client.stream(turn.prompt, _told(params, report_progress), add_special=turn.add_special)
                choices.append(Choice(index, stream, turn.reader(index)))
        return Choices(choices)

    async def _raw(self, request: RawRequest, report_progress: bool) -> Choices:
        client = self._link.client
        with opened() as choices:
            for prompt in request.prompts:
                echo = await self._text(prompt) if request.echo else ""
                for number in range(request.num_choices):
                    params = _told(request.params.of_choice(number), report_progress)
                    given: Any = list(prompt) if is_token_ids(prompt) else prompt
                    index = len(choices)
                    stream = client.stream(given, params, parse_special=True)
                    choices.append(Choice(index, stream, RawReader(index, echo)))
        return Choices(choices)

    async def _text(self, prompt: Any) -> str:
        if isinstance(prompt, str):
            return prompt
        if is_token_ids(prompt):
            return await self._link.client.detokenize(prompt)
        return "".join(segment.text for segment in prompt)


@contextmanager
def opened() -> Iterator[list[Choice]]:
    """A list to put choices in; if one of them cannot be opened, none is left open."""
    choices: list[Choice] = []
    try:
        yield choices
    except BaseException:
        Choices(choices).close()
        raise


def is_token_ids(prompt: str | Sequence[Any]) -> bool:
    return not isinstance(prompt, str) and (not prompt or isinstance(prompt[0], int))


def _told(params: SamplingParams, report_progress: bool) -> SamplingParams:
    return replace(params, report_progress=True) if report_progress else params

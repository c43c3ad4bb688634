"""The requests of one call that asks for several texts: started together, and open until each has ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from cluster.api.errors import ClusterError
from cluster.messages.pictures import PicturedPrompt
from cluster.wire.codec.answer import Output, is_last
from cluster.wire.codec.inference import PromptRequest
from cluster.wire.inference import mailbox
from cluster.wire.inference.held import Claim, HeldRequests
from cluster.wire.inference.mailbox import LoopMailbox, StreamInbox

Numbered = tuple[int, Output]  # (number of the request, what it is answered)
TokenIds = Callable[[PromptRequest], Awaitable[list[int] | PicturedPrompt]]

_Ready = tuple[int, PromptRequest, list[int] | PicturedPrompt]

# Prompts that are tokenised within this time start together, so that their streams begin with the same step. Those
# after them are not waited for any longer.
TOGETHER_S = 0.02


class RequestGroup:
    """Lives on one event loop, but for what the backend puts into its inbox."""

    def __init__(
        self,
        requests: Sequence[PromptRequest | ClusterError | None],
        held: HeldRequests,
        mailbox: LoopMailbox,
        client: str,
    ) -> None:
        """`requests` of `client`: an error stands for one that cannot be, and is its answer; None has been answered."""
        self._requests = requests
        self._held = held
        self._client = client
        self._open = {number for number, request in enumerate(requests) if request is not None}
        self._outputs: dict[int, list[Output]] = {}  # that were not taken
        self._claims: dict[int, Claim] = {}
        self.inbox: StreamInbox[Numbered | ClusterError] = StreamInbox(mailbox, _ends_something)

    @property
    def is_open(self) -> bool:
        """Some request has not ended."""
        return bool(self._open)

    async def start(self, token_ids: TokenIds) -> None:
        """Start all, so that the engine finds those together whose prompts take no time. Each has its own errors."""
        ready: list[_Ready] = []
        begin_s = time.monotonic()
        requests, self._requests = self._requests, ()
        for number, request in enumerate(requests):
            try:
                if isinstance(request, ClusterError):
                    raise request
                if request is None or self._goes_on(number, request):
                    continue
                ready.append((number, request, await token_ids(request)))
            except ClusterError as error:
                self.inbox.put((number, error))
            if time.monotonic() - begin_s > TOGETHER_S:
                self._start_ready(ready)
                ready = []
                await asyncio.sleep(0)  # token ids take no turn of their own
                begin_s = time.monotonic()
        self._start_ready(ready)

    def end(self) -> None:
        """The client has all that it wanted: cancels what runs still."""
        for claim in self._claims.values():
            claim.end()

    def leave(self) -> None:
        """The client's connection is gone, and it may come back."""
        for claim in self._claims.values():
            claim.leave()

    async def take(self) -> dict[int, list[Output]]:
        """All outputs of the requests that have ended since the last call; an error of the whole call ends all.

        Of those that go on too, once very many wait here.
        """
        for item in await self.inbox.take_all():
            if isinstance(item, ClusterError):
                for number in self._open:
                    self._outputs.setdefault(number, []).append(item)
                self._open.clear()
                break
            number, output = item
            if number in self._open:  # nothing follows the last output of a request
                self._outputs.setdefault(number, []).append(output)
                if is_last(output):
                    self._open.discard(number)
                    if number in self._claims:
                        self._claims.pop(number).end()
        takes_all = sum(map(len, self._outputs.values())) >= mailbox.MAX_WAITING
        return {
            number: self._outputs.pop(number) for number in list(self._outputs) if takes_all or number not in self._open
        }

    def _start_ready(self, ready: Sequence[_Ready]) -> None:
        for number, request, prompt in ready:
            try:
                sink = partial(self._put, number)
                self._claims[number] = self._held.begin(request, prompt, sink, self._client, keeps_all=True)
            except ClusterError as error:
                self.inbox.put((number, error))

    def _goes_on(self, number: int, request: PromptRequest) -> bool:
        claim = self._held.resume(request, partial(self._put, number), keeps_all=True)
        if claim is not None:
            self._claims[number] = claim
        return claim is not None

    def _put(self, number: int, output: Output) -> None:
        self.inbox.put((number, output))


def _ends_something(item: Numbered | ClusterError) -> bool:
    return isinstance(item, ClusterError) or is_last(item[1])

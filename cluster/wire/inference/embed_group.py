"""The texts of one call that asks for vectors: as many at a time as the cluster has slots, answered in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import numpy as np

from cluster.api.errors import ClusterError
from cluster.api.prompt import Pair, Segments
from cluster.messages.step import Float32Array
from cluster.wire.codec.embedding import EmbedAsked
from cluster.wire.inference.backend import Cancel, InferenceBackend
from cluster.wire.inference.mailbox import LoopMailbox, StreamInbox

Numbered = tuple[int, Float32Array | ClusterError]  # (number of the text, its vector)
TokenIds = Callable[[Segments | Pair], Awaitable[list[int]]]


class EmbedGroup:
    """Lives on one event loop, but for what the backend puts into its inbox."""

    def __init__(self, asked: EmbedAsked, mailbox: LoopMailbox, client: str) -> None:
        self._asked = asked
        self._client = client
        self._cancels: dict[int, Cancel] = {}  # of those that were begun and not answered
        self.inbox: StreamInbox[Numbered | ClusterError] = StreamInbox(mailbox)

    def cancel(self) -> None:
        """Cancels all that was begun."""
        for cancel in self._cancels.values():
            cancel()

    async def vectors(
        self, backend: InferenceBackend, token_ids: TokenIds
    ) -> AsyncIterator[tuple[list[int], Float32Array]]:
        """The numbers of tokens, and the vectors [n, E], of the next texts; the error of the first that has one."""
        inputs = self._asked.inputs
        num_tokens: list[int] = []
        ready: dict[int, Float32Array] = {}
        num_answered = 0
        while num_answered < len(inputs):
            while len(num_tokens) < len(inputs) and len(self._cancels) < backend.num_slots:
                await self._begin(backend, token_ids, num_tokens)
            for item in await self.inbox.take_all():
                if isinstance(item, ClusterError):
                    raise item
                number, found = item
                if isinstance(found, ClusterError):
                    raise found
                del self._cancels[number]
                ready[number] = found
            first = num_answered
            while num_answered in ready:
                num_answered += 1
            if num_answered > first:
                vectors = np.stack([ready.pop(number) for number in range(first, num_answered)])
                yield num_tokens[first:num_answered], vectors

    async def _begin(self, backend: InferenceBackend, token_ids: TokenIds, num_tokens: list[int]) -> None:
        """Start the next text."""
        number = len(num_tokens)
        given = self._asked.inputs[number]
        ids = given if isinstance(given, list) else await token_ids(given)
        num_tokens.append(len(ids))
        self._cancels[number] = backend.embed(ids, self._asked.pooling, partial(self._put, number), self._client)

    def _put(self, number: int, found: Float32Array | ClusterError) -> None:
        self.inbox.put((number, found))

"""The requests of one call that asks for several texts: started together, and open until each has ended."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from cluster.errors import ClusterError
from cluster.sampling import SamplingParams
from cluster.wire import loop_mailbox
from cluster.wire.codec_answer import Output
from cluster.wire.inference_backend import Cancel, InferenceBackend
from cluster.wire.loop_mailbox import LoopMailbox, StreamInbox

Numbered = tuple[int, Output]  # of which request
Request = tuple[str | list[int], SamplingParams] | ClusterError


class RequestGroup:
    """`start` is for a thread of the backend's, `take` for the loop's."""

    def __init__(self, requests: Sequence[Request], mailbox: LoopMailbox, client: str) -> None:
        """`requests` of `client`: an error stands for one that cannot be, and is its answer."""
        self._requests = requests
        self._client = client
        self._open = set(range(len(requests)))
        self._held: dict[int, list[Output]] = {}
        self.inbox: StreamInbox[Numbered | ClusterError] = StreamInbox(mailbox, _ends_something)

    @property
    def is_open(self) -> bool:
        """Some request has not ended."""
        return bool(self._open)

    def start(self, backend: InferenceBackend) -> Cancel:
        """Start all, one right after the other, so that the engine finds them together."""
        cancels: list[Cancel] = []
        cancel_all = partial(_call_all, cancels)
        try:
            for number, request in enumerate(self._requests):
                cancels.extend(self._started(backend, number, request))
        except BaseException:
            cancel_all()
            raise
        return cancel_all

    async def take(self) -> dict[int, list[Output]]:
        """All outputs of the requests that have ended since the last call; an error of the whole call ends all.

        Of those that go on too, once very many wait here.
        """
        for item in await self.inbox.take_all():
            if isinstance(item, ClusterError):
                for number in self._open:
                    self._held.setdefault(number, []).append(item)
                self._open.clear()
                break
            number, output = item
            if number in self._open:  # nothing follows the last output of a request
                self._held.setdefault(number, []).append(output)
                if is_last(output):
                    self._open.discard(number)
        takes_all = sum(map(len, self._held.values())) >= loop_mailbox.MAX_WAITING
        return {number: self._held.pop(number) for number in list(self._held) if takes_all or number not in self._open}

    def _started(self, backend: InferenceBackend, number: int, request: Request) -> list[Cancel]:
        if isinstance(request, ClusterError):
            self.inbox.put((number, request))
            return []
        try:
            return [backend.generate(*request, lambda output: self.inbox.put((number, output)), self._client)]
        except ClusterError as error:
            self.inbox.put((number, error))
            return []


def is_last(output: Output) -> bool:
    """Whether it ends its request."""
    return isinstance(output, ClusterError) or output.finish_reason is not None


def _ends_something(item: Numbered | ClusterError) -> bool:
    return isinstance(item, ClusterError) or is_last(item[1])


def _call_all(cancels: Sequence[Cancel]) -> None:
    for cancel in cancels:
        cancel()

"""Streams that run while something dies, and what has to be true of them afterwards.

Letters and numbers in names are those of docs/reliability.md.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cluster
from cluster.api.results import TokenEvent
from tests.conftest import CliHome
from tests.fakes.wire_backends import wait_until

NUM_STREAMS = 8
NUM_TOKENS = 160
NUM_BEFORE = 20  # tokens that each stream has when it happens


@dataclass
class Stream:
    """What one client was told, and when. It is read in a thread of its own."""

    events: list[TokenEvent] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    error: Exception | None = None

    def read(self, client: cluster.Client, prompt: str, seed: int, num_tokens: int = NUM_TOKENS) -> None:
        params = {"max_tokens": num_tokens, "temperature": 0.8, "seed": seed, "ignore_eos": True}
        try:
            for event in client.stream(prompt, **params):
                self.events.append(event)
                self.times_s.append(time.monotonic())
        except Exception as error:
            self.error = error

    @property
    def tokens(self) -> list[int]:
        return [event.token for event in self.events if event.token is not None]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events)

    @property
    def gap_s(self) -> float:
        return max(later - earlier for earlier, later in zip(self.times_s, self.times_s[1:], strict=False))


def streams_of(home: CliHome, during: Callable[[], None] | None = None) -> list[Stream]:
    """Eight streams, read to their ends; `during` is called while they run."""
    streams = [Stream() for _ in range(NUM_STREAMS)]
    with cluster.connect(home.address, home.client_secret) as client:
        threads = [
            threading.Thread(target=stream.read, args=(client, f"Once upon a time number {place}", place))
            for place, stream in enumerate(streams)
        ]
        for thread in threads:
            thread.start()
        if during is not None:
            wait_until(lambda: all(len(stream.tokens) > NUM_BEFORE for stream in streams), 60)
            during()
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive()
    return streams


def check(home: CliHome, streams: Sequence[Stream]) -> None:
    """I1 to I4, I7: no gap, one end and nothing behind it, text that is that of the tokens, slots that are free."""
    with cluster.connect(home.address, home.client_secret) as client:
        for stream in streams:
            if stream.error is not None:
                raise stream.error
            last = stream.events[-1]
            assert last.finish_reason == "length"
            assert last.timings is not None
            assert last.timings.num_tokens == len(stream.tokens) == NUM_TOKENS
            assert sum(event.finish_reason is not None for event in stream.events) == 1
            assert client.detokenize(stream.tokens) == stream.text
        wait_until(lambda: client.status().num_slots_used == 0, 10)


def check_alike(undisturbed: Sequence[Stream], disturbed: Sequence[Stream]) -> None:
    """What was told before is what would have been told anyway.

    Steps of other numbers of rows are rounded otherwise, so that a draw near a border may be another one.
    """
    pairs = zip(undisturbed, disturbed, strict=True)
    alike = [before.tokens[:NUM_BEFORE] == after.tokens[:NUM_BEFORE] for before, after in pairs]
    assert sum(alike) > len(alike) // 2

"""A cluster that takes calls and never finishes one, as a process of its own: to be killed while it is asked.

It prints its address, and then a line for each call that has arrived.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from cluster.api.prompt import Segments
from cluster.api.results import TokenEvent
from cluster.api.status import ClusterStatus, SlotStatus
from cluster.messages.step import Float32Array, StepTiming
from cluster.wire.access.endpoint import Listener
from cluster.wire.inference.server import InferenceServer
from tests.fakes.wire_backends import SECRET, EchoCluster


def say(line: str) -> None:
    print(line, flush=True)


class SilentCluster(EchoCluster):
    """Streams begin, and stand still; whoever asks for something whole waits. `status` answers the first time."""

    _forever = threading.Event()
    _has_answered = False

    def generate(
        self, prompt: Any, params: Any, sink: Callable[[Any], None], client: str = "", ticket: bytes = b""
    ) -> Callable[[], None]:
        sink(TokenEvent(1, "a", -0.5))
        say("generate")
        return lambda: None

    def logits(
        self, token_ids: list[int], sink: Callable[[Float32Array | Any], None], client: str = ""
    ) -> Callable[[], None]:
        say("logits")
        return lambda: None

    async def tokenize(self, client: str, field: str, segments: Segments, add_special: bool) -> list[int]:
        if field == "text":  # a call of its own, not for a prompt
            say("tokenize")
            await asyncio.Event().wait()
        return await super().tokenize(client, field, segments, add_special)

    def detokenize(self, token_ids: list[int]) -> str:
        return self._wait("detokenize")

    def status(self) -> ClusterStatus:
        if self._has_answered:
            self._wait("status")
        self._has_answered = True
        return super().status()

    def slots(self) -> tuple[SlotStatus, ...]:
        self._wait("slots")
        return super().slots()

    def intervals(self) -> Sequence[StepTiming]:
        return self._wait("intervals")

    def _wait(self, method: str) -> Any:
        say(method)
        self._forever.wait()


def main() -> None:
    say(InferenceServer(SilentCluster(), Listener(SECRET)).start())
    sys.stdin.read()


if __name__ == "__main__":
    main()

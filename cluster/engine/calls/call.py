"""One call of a program, from a client to its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cluster.api.errors import ClusterError
from cluster.engine.events import send
from cluster.messages.program import Arrays

# Called once, with what the program gives or why it gives nothing; must not block.
CallSink = Callable[[Arrays | ClusterError], None]


@dataclass(frozen=True, slots=True)
class Call:
    """Set by `CallEngine.submit`."""

    number: int
    symbols: tuple[int, ...]  # extents that differ between calls
    arrays: Arrays
    client: str  # who asks; clients share the pipeline and the queue evenly
    sink: CallSink
    num_losses: int = 0  # times that stages died while it was under way
    is_suspected: bool = False  # the last time that stages were lost is one of those

    def answer(self, answer: Arrays | ClusterError) -> None:
        """What the reader makes of it is its own affair."""
        send(self.sink, answer)

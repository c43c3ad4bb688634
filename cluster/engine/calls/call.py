"""One call of a program, from a client to its answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from cluster.api.errors import ClusterError
from cluster.messages.program import Arrays

_log = logging.getLogger(__name__)

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

    def answer(self, answer: Arrays | ClusterError) -> None:
        """One broken reader must not stop the others, whatever it raises."""
        try:
            self.sink(answer)
        except Exception:
            _log.warning("a reader of a call failed", exc_info=True)

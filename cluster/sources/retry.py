"""Reading a range to its end although connections drop: goes on from where it was, with growing pauses."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cluster.api.errors import UnreachableError

MAX_FAILURES = 6  # one after the other, without a byte between them: about half a minute
FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 30.0


class DroppedError(Exception):
    """This attempt failed, but the next one may not. `pause_s`: what the server asks for, if it does."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to keep trying. Tests give a shorter one."""

    max_failures: int = MAX_FAILURES
    first_pause_s: float = FIRST_PAUSE_S
    max_pause_s: float = MAX_PAUSE_S

    def pause_s(self, num_failures: int, asked_s: float | None, jitter: float) -> float:
        """Seconds to wait after the n-th failure in a row (n >= 1): doubling, spread by `jitter` in [0, 1)."""
        if asked_s is not None:
            return min(max(asked_s, 0.0), self.max_pause_s)
        return min(self.first_pause_s * 2.0 ** (num_failures - 1), self.max_pause_s) * (0.5 + jitter / 2)


def read_on(
    name: str, attempt: Callable[[int, int], Iterator[bytes]], begin: int, end: int, patience: Patience
) -> Iterator[bytes]:
    """All bytes [begin, end) of `attempt(begin, end)`, which may raise DroppedError after any of them.

    UnreachableError after too many failures in a row; other errors pass.
    """
    num_failures = 0
    while begin < end:
        try:
            for chunk in attempt(begin, end):
                yield chunk
                begin += len(chunk)
                num_failures = 0 if chunk else num_failures
            if begin < end:
                raise DroppedError("the connection ended early")
        except DroppedError as error:
            num_failures += 1
            if num_failures >= patience.max_failures:
                raise UnreachableError(
                    f"{name}: {error}; tried {num_failures} times in a row: look at the network, then run this again, "
                    "it goes on from here"
                ) from error
            time.sleep(patience.pause_s(num_failures, error.pause_s, random.random()))

"""A cluster whose requests outlive its process, as a process of its own: to be killed, and started again.

Every text is the alphabet, a letter at a time. Arguments: the port, how many letters it gives of each text before it
kills itself (0 for all of them), and a folder for what outlives it: a file for each request, with the letters that it
was given. It prints its address.
"""

from __future__ import annotations

import os
import signal
import string
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.api.results import FinishReason, Timings, TokenEvent
from cluster.wire.access.endpoint import Listener
from cluster.wire.inference.server import InferenceServer
from tests.fakes.wire_backends import SECRET, EchoCluster

ALPHABET = string.ascii_lowercase
LETTER_S = 0.005


class KeepingCluster(EchoCluster):
    """There is but one text."""

    def __init__(self, num_letters: int, folder: Path) -> None:
        super().__init__()
        self.keeps_requests = True
        self._num_letters = num_letters
        self._folder = folder

    def generate(
        self, prompt: Any, params: Any, sink: Callable[[Any], None], client: str = "", ticket: bytes = b""
    ) -> Callable[[], None]:
        return self._write(self._folder / ticket.hex(), 0, sink)

    def resume(self, ticket: bytes, num_received: int, sink: Callable[[Any], None]) -> Callable[[], None] | None:
        path = self._folder / ticket.hex()
        return self._write(path, num_received, sink) if path.exists() else None

    def _write(self, path: Path, first: int, sink: Callable[[Any], None]) -> Callable[[], None]:
        path.touch()
        threading.Thread(target=self._letters, args=(path, first, sink), daemon=True).start()
        return lambda: None

    def _letters(self, path: Path, first: int, sink: Callable[[Any], None]) -> None:
        num_before = path.stat().st_size
        for place in range(first, len(ALPHABET)):
            if self._num_letters and place == num_before + self._num_letters:
                os.kill(os.getpid(), signal.SIGKILL)
            if place >= num_before:
                path.write_text(ALPHABET[: place + 1])
            is_last = place == len(ALPHABET) - 1
            timings = Timings(1, len(ALPHABET), 0, 0.0, 0.0, 0.0) if is_last else None
            reason = FinishReason.LENGTH if is_last else None
            sink(TokenEvent(place, ALPHABET[place], None, (), reason, timings))
            time.sleep(LETTER_S)


def main() -> None:
    port, backend = int(sys.argv[1]), KeepingCluster(int(sys.argv[2]), Path(sys.argv[3]))
    print(InferenceServer(backend, Listener(SECRET, ports=port)).start(), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()

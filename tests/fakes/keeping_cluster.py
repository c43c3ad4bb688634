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

import numpy as np

from cluster.api.embedding import Pooling
from cluster.api.errors import ClusterError
from cluster.api.results import FinishReason, Timings, TokenEvent
from cluster.messages.step import Float32Array
from cluster.wire.access.endpoint import Listener
from cluster.wire.inference.server import InferenceServer
from tests.fakes.wire_backends import SECRET, VOCAB_SIZE, EchoCluster

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

    def logits(
        self, token_ids: list[int], sink: Callable[[Float32Array | ClusterError | None], None], client: str
    ) -> Callable[[], None]:
        if self._dies_now("logits"):
            sink(np.full((1, VOCAB_SIZE), 7, np.float32))  # the first part, and no other
            return lambda: None
        return super().logits(token_ids, sink, client)

    def embed(
        self,
        token_ids: list[int],
        pooling: Pooling | None,
        sink: Callable[[Float32Array | ClusterError], None],
        client: str,
    ) -> Callable[[], None]:
        if self._dies_now("embed"):
            return lambda: None
        return super().embed(token_ids, pooling, sink, client)

    def _dies_now(self, name: str) -> bool:
        """Soon after the first call of that name."""
        is_first = not (self._folder / name).exists()
        if is_first:
            (self._folder / name).touch()
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return is_first

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

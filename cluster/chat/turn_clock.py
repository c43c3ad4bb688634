"""The figures of a turn that ends before the coordinator has told its own."""

from __future__ import annotations

import time

from cluster.api.results import Timings, TokenEvent


class TurnClock:
    """Sees the events of one stream where they arrive."""

    def __init__(self) -> None:
        self._begin_s = time.monotonic()
        self._first_s = 0.0
        self._last_s = 0.0
        self._num_tokens = 0
        self._num_prompt_tokens = 0
        self._num_cached_tokens = 0

    def see(self, event: TokenEvent) -> None:
        if event.prompt is not None:
            self._num_prompt_tokens = event.prompt.num_prompt_tokens
            self._num_cached_tokens = event.prompt.num_cached_tokens
        if event.token is not None:
            self._num_tokens += 1
            self._last_s = time.monotonic()
            self._first_s = self._first_s or self._last_s

    def timings(self) -> Timings:
        """Waiting in a queue counts as reading the prompt: from here they look the same."""
        return Timings(
            self._num_prompt_tokens,
            self._num_tokens,
            self._num_cached_tokens,
            prefill_ms=(self._first_s - self._begin_s) * 1000,
            decode_ms=(self._last_s - self._first_s) * 1000,
        )

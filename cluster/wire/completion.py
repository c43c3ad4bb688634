"""Puts the pieces of a stream together: events to a Completion, parts to an array of logits."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cluster.errors import UnreachableError, UsageError
from cluster.messages import Completion, Float32Array, TokenEvent


def complete(events: Iterable[TokenEvent]) -> Completion:
    """The Completion of a whole stream. UnreachableError if the stream has no last event."""
    events = list(events)
    last = events[-1] if events else None
    if last is None or last.finish_reason is None or last.timings is None:
        raise UnreachableError("generate: the stream ended before the text did; ask again")
    drawn = [event for event in events if event.token is not None]
    return Completion(
        text="".join(event.text for event in events),
        token_ids=tuple(event.token for event in drawn if event.token is not None),
        logprobs=tuple(np.nan if event.logprob is None else event.logprob for event in drawn),
        finish_reason=last.finish_reason,
        timings=last.timings,
        top_logprobs=tuple(event.top for event in drawn) if any(event.top for event in drawn) else (),
    )


class LogitsRows:
    """Collects rows of logits into an array [T, V] that is allocated once."""

    def __init__(self, num_tokens: int) -> None:
        self._num_tokens = num_tokens
        self._array: Float32Array | None = None
        self._num_filled = 0

    def add(self, rows: Float32Array) -> None:
        """Rows [r, V]; UsageError if they do not fit to those before."""
        if self._array is None:
            self._array = np.empty((self._num_tokens, rows.shape[1]), np.float32)
        end = self._num_filled + len(rows)
        if end > self._num_tokens or rows.shape[1] != self._array.shape[1]:
            raise UsageError(
                f"logits: rows {rows.shape} after {self._num_filled} of {self._array.shape}; "
                "run the same version on both ends"
            )
        self._array[self._num_filled : end] = rows
        self._num_filled = end

    def finish(self) -> Float32Array:
        """The logits [T, V]. UnreachableError if rows are missing."""
        if self._array is None or self._num_filled < self._num_tokens:
            raise UnreachableError(
                f"logits: the stream ended after {self._num_filled} of {self._num_tokens} rows; ask again"
            )
        return self._array

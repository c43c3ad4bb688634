"""Puts the pieces of a stream together: events to a Completion, parts to an array of logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cluster.api.errors import ClusterError, UnreachableError, UsageError
from cluster.api.results import Completion, TokenEvent
from cluster.messages.step import Float32Array

Outcome = Completion | ClusterError


class Completions:
    """Collects what one call answers for several requests, which are numbered from 0."""

    def __init__(self, num_requests: int) -> None:
        self._events: dict[int, list[TokenEvent]] = {
            request: [] for request in range(num_requests)
        }  # those that are open

    def add(self, outputs: Mapping[int, Sequence[TokenEvent | ClusterError]]) -> list[tuple[int, Outcome]]:
        """The requests that end with these outputs. UsageError for outputs of a request that has ended."""
        ended: list[tuple[int, Outcome]] = []
        for request, of_request in outputs.items():
            for output in of_request:
                if request not in self._events:
                    raise UsageError(f"generate: more for request {request}, which has ended; report a bug")
                if isinstance(output, ClusterError):
                    del self._events[request]
                    ended.append((request, output))
                    continue
                self._events[request].append(output)
                if output.finish_reason is not None:
                    ended.append((request, _complete(self._events.pop(request))))
        return ended

    def end(self, error: ClusterError | None = None) -> list[tuple[int, Outcome]]:
        """The requests that were not answered when the call ended, and why: `error`, if it failed."""
        missing, self._events = self._events, {}
        reason = error or UnreachableError("generate: the stream ended before the text did; ask again")
        return [(request, reason) for request in missing]


def _complete(events: Sequence[TokenEvent]) -> Outcome:
    last = events[-1]
    if last.finish_reason is None or last.timings is None:
        return UsageError("generate: an answer without its timings; run the same version on both ends")
    drawn = [event for event in events if event.token is not None]
    return Completion(
        text="".join(event.text for event in events),
        token_ids=tuple(event.token for event in drawn if event.token is not None),
        logprobs=tuple(np.nan if event.logprob is None else event.logprob for event in drawn),
        finish_reason=last.finish_reason,
        timings=last.timings,
        top_logprobs=tuple(event.top for event in drawn) if any(event.top for event in drawn) else (),
        stop_string=last.stop_string,
        prompt_logprobs=next((event.prompt_logprobs for event in events if event.prompt_logprobs), ()),
    )


class LogitsRows:
    """Collects rows of logits into an array [T, V] that is allocated once."""

    def __init__(self, num_tokens: int) -> None:
        self._num_tokens = num_tokens
        self._array: Float32Array | None = None
        self._num_filled = 0

    def reset(self) -> None:
        """Forget all rows."""
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

"""Answer: what has come of one stream of server-sent events, and when. The time is the caller's."""

from __future__ import annotations

import json

from cluster.api.errors import ClusterError
from cluster.bench.arrival import Arrival

# `vllm bench serve` takes each chunk that has choices for tokens, the first one for the first token, and so do we.
TOKENS = b'"choices":[{'
ERROR = b'data: {"error"'
DONE = b"data: [DONE]"
# The event with the usage is the last one; it is looked for here, so that no other event has to be parsed.
KEPT_BYTES = 4096


class Answer:
    """Told of all bytes as they come. They are searched, not parsed, which is cheap enough beside the server."""

    def __init__(self, sent_s: float) -> None:
        self._sent_s = sent_s
        self._chunk_s: list[float] = []
        self._kept = b""

    def take(self, part: bytes, now_s: float) -> Arrival | None:
        """The whole, once it has ended. ClusterError where the server says one, or does not tell the usage."""
        seen = self._kept + part
        self._chunk_s += [now_s] * (seen.count(TOKENS) - self._kept.count(TOKENS))
        self._kept = seen[-KEPT_BYTES:]
        if ERROR in seen:
            raise ClusterError(f"http: {seen[seen.index(ERROR) :][:300].decode(errors='replace')}")
        if DONE not in seen:
            return None
        if not self._chunk_s:
            raise ClusterError("http: an answer has no tokens")
        return Arrival(self._sent_s, tuple(self._chunk_s), now_s, *_usage(seen[: seen.index(DONE)]))


def _usage(seen: bytes) -> tuple[int, int]:
    """Tokens of the prompt and of the answer, as the last event says."""
    event = seen.rpartition(b"data: ")[2].partition(b"\n")[0]
    try:
        usage = json.loads(event)["usage"]
        return int(usage["prompt_tokens"]), int(usage["completion_tokens"])
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(
            f"http: an answer does not tell its usage: {event[:300].decode(errors='replace')}"
        ) from error

"""Bounds on what comes in over HTTP, and who may begin."""

from __future__ import annotations

import time

from cluster.api.errors import CapacityError

MAX_BODY_BYTES = 8 << 20  # inflated, too
MAX_HEADER_BYTES = 32 << 10  # the request line and all headers
MAX_JSON_DEPTH = 128
MAX_MESSAGES = 1024
MAX_TOOLS = 512
MAX_PROMPTS = 256  # in one request for completions
MAX_EMBEDDINGS = 2048  # texts in one request, as at OpenAI
MAX_CHOICES = 512  # of all its prompts
MAX_CONNECTIONS = 4096
REQUEST_S = 60.0  # for a connection to say what it wants, from its first byte on
BODY_S = 60.0  # for a body to arrive
STALLED_S = 20.0  # a client that takes nothing for so long is cut off
WRITE_BUFFER_BYTES = 256 << 10  # of what a client has not taken yet; then nothing more is read for it
SEND_BUFFER_BYTES = 256 << 10  # the kernel's share of that, for each connection
MAX_DEADLINE_MS = 24 * 3600 * 1000
KEEP_ALIVE_S = 10.0  # of silence on a stream
HEADERS_S = 2.0  # an answer whose first event takes longer begins without it

QUEUE_FULL_S = 0.5  # for so long after the cluster's queue was full, nobody else is sent there
RETRY_S = 1.0  # what clients are told


class Admission:
    """Counts the requests whose answer is open, and refuses more than a number of them: cheaply, before any work."""

    def __init__(self, max_streams: int) -> None:
        self._max_streams = max_streams
        self._full_until_s = 0.0
        self.num_open = 0

    def check(self) -> None:
        """CapacityError if a request must not begin."""
        if self.num_open >= self._max_streams:
            raise CapacityError(f"queue: full, with {self.num_open} requests open here; try again later")
        if time.monotonic() < self._full_until_s:
            raise CapacityError("queue: full, as the cluster said less than a second ago; try again later")

    def begin(self) -> None:
        """A request begins; `end` must follow."""
        self.check()
        self.num_open += 1

    def end(self) -> None:
        """One has ended: there is a place in the cluster's queue."""
        self.num_open -= 1
        self._full_until_s = 0.0

    def queue_was_full(self) -> None:
        """The cluster has refused a request. Others would be, too, and each would cost a template and a tokenizer."""
        self._full_until_s = time.monotonic() + QUEUE_FULL_S

"""One request on the client's clock."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.api.errors import ClusterError
from cluster.api.sampling import SamplingParams
from cluster.client.sync import Client

GREEDY = SamplingParams(temperature=0.0, ignore_eos=True)


@dataclass(frozen=True, slots=True)
class RequestTimes:
    """When a request was sent and answered, in seconds of time.perf_counter."""

    num_prompt_tokens: int
    sent_s: float
    token_s: tuple[float, ...]  # when each token came
    token_ids: tuple[int, ...] = ()
    num_cached_tokens: int = 0  # tokens of the prompt, as the cluster says

    @property
    def first_token_ms(self) -> float:
        return 1e3 * (self.token_s[0] - self.sent_s)


def timed_request(client: Client, prompt: Sequence[int], num_tokens: int) -> RequestTimes:
    """Send a prompt and read the greedy answer of `num_tokens`. ClusterError if it is shorter."""
    token_s, token_ids, num_cached = [], [], 0
    sent_s = time.perf_counter()
    with client.stream(list(prompt), GREEDY, max_tokens=num_tokens) as events:
        for event in events:
            if event.token is not None:
                token_s.append(time.perf_counter())
                token_ids.append(event.token)
            if event.timings is not None:
                num_cached = event.timings.num_cached_tokens
    if len(token_ids) != num_tokens:
        raise ClusterError(f"bench: a stream ended with {len(token_ids)} tokens instead of {num_tokens}")
    return RequestTimes(len(prompt), sent_s, tuple(token_s), tuple(token_ids), num_cached)

"""Asked: a request for text as it came, so that it can be asked again."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.api.sampling import SamplingParams


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for text, as it is to be asked again. Set by the coordinator."""

    ticket: bytes  # 16 bytes, chosen by the client; names the request
    token_ids: tuple[int, ...]  # of the prompt
    params: SamplingParams  # with a seed, or what follows would not be what would have followed
    client: str  # who asked
    scales: tuple[float, ...] = ()  # of the adapters, as in Microbatch

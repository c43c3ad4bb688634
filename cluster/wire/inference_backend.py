"""What the inference server needs of a coordinator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from cluster.errors import ClusterError
from cluster.messages import ClusterStatus, Float32Array, StepTiming, TokenEvent
from cluster.sampling import SamplingParams

EventSink = Callable[[TokenEvent | ClusterError], None]
LogitsSink = Callable[[Float32Array | ClusterError | None], None]
Cancel = Callable[[], None]


class InferenceBackend(Protocol):
    """All methods are called on a few threads of the server; they may take as long as tokenising a prompt.

    They raise ClusterError, or hand one to the sink; either ends the stream. Sinks may be called from any
    thread, never wait, and may be called after the stream is gone. A returned `cancel` never waits, and does
    nothing once the request has ended. `client` names who asks (`client_name`): clients get even shares.
    """

    def generate(self, prompt: str | list[int], params: SamplingParams, sink: EventSink, client: str) -> Cancel:
        """Starts a request. The last event has a finish_reason."""

    def logits(self, token_ids: list[int], sink: LogitsSink, client: str) -> Cancel:
        """Starts a computation of logits; the sink gets rows [r, V] in order, then None."""

    def tokenize(self, text: str, add_special: bool, parse_special: bool) -> list[int]:
        """The token ids of a text."""

    def detokenize(self, token_ids: list[int]) -> str:
        """The text of token ids."""

    def status(self) -> ClusterStatus:
        """The cluster now."""

    def intervals(self) -> Sequence[StepTiming]:
        """The recorded steps of the last window."""

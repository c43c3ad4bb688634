"""What the inference server needs of a coordinator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from cluster.api.embedding import Pooling
from cluster.api.errors import ClusterError
from cluster.api.lists import Scales
from cluster.api.model import AdapterInfo, ModelInfo, VocabularyTable
from cluster.api.prompt import Pair, Segments
from cluster.api.results import TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.api.status import ClusterStatus, SlotStatus
from cluster.messages.pictures import PicturedPrompt
from cluster.messages.program import Arrays
from cluster.messages.step import Float32Array, StepTiming

EventSink = Callable[[TokenEvent | ClusterError], None]
EmbedSink = Callable[[Float32Array | ClusterError], None]
LogitsSink = Callable[[Float32Array | ClusterError | None], None]
ArraysSink = Callable[[Arrays | ClusterError], None]
Cancel = Callable[[], None]


class GivenArray(NamedTuple):
    """An array of a call, as it is announced."""

    dtype: str
    shape: tuple[int, ...]


class InferenceBackend(Protocol):
    """`generate`, `resume`, `logits`, `embed`, `tokenize`, `pictured`, `check_run` and `run` are called on the server's
    event loop, and must not hold it up; all others on threads of the server, where they may take their time.

    They raise ClusterError, or hand one to the sink; either ends the stream. Sinks may be called from any
    thread, never wait, and may be called after the stream is gone. A returned `cancel` never waits, and does
    nothing once the request has ended. `client` names who asks (`client_name`): clients get even shares.
    """

    @property
    def max_prompt_bytes(self) -> int:
        """The most bytes of a message, text or token ids: no longer prompt fits into the context."""

    @property
    def num_slots(self) -> int:
        """How many sequences are computed at a time."""

    @property
    def keeps_requests(self) -> bool:
        """Requests outlive this process: its successor can be asked to `resume`, or asked again."""

    @property
    def takes_pictures(self) -> bool:
        """Prompts may have some: `pictured` makes them."""

    def generate(
        self,
        prompt: list[int] | PicturedPrompt,
        params: SamplingParams,
        sink: EventSink,
        client: str,
        ticket: bytes = b"",
    ) -> Cancel:
        """Starts a request. The last event has a finish_reason. `ticket`: names it; empty where it is not kept."""

    def resume(self, ticket: bytes, num_received: int, sink: EventSink) -> Cancel | None:
        """Goes on with a request that a predecessor was asked: the sink gets its events from that number on.

        None if nothing is known of it. UsageError for more events than there have been.
        """

    def logits(self, token_ids: list[int], sink: LogitsSink, client: str) -> Cancel:
        """Starts a computation of logits; the sink gets rows [r, V] in order, then None."""

    def embed(self, token_ids: list[int], pooling: Pooling | None, sink: EmbedSink, client: str) -> Cancel:
        """Starts the computation of one vector; the sink gets it [E], not normalised.

        `pooling`: None is what the model says.
        """

    def check_run(self, given: Mapping[str, GivenArray]) -> tuple[int, ...]:
        """What `run` is to be told of a call, before its arrays come. UsageError where it takes others."""

    def run(self, symbols: tuple[int, ...], arrays: Arrays, sink: ArraysSink, client: str) -> Cancel:
        """Starts a call of a program; the sink gets what it gives, once. `symbols`: what `check_run` said."""

    async def tokenize(self, client: str, field: str, segments: Segments, add_special: bool) -> list[int]:
        """The token ids of a text, which `client` gave as `field`."""

    async def pictured(self, client: str, field: str, segments: Segments, add_special: bool) -> PicturedPrompt:
        """The prompt of texts and pictures, which `client` gave as `field`. UsageError where none are taken."""

    async def tokenize_pair(self, client: str, pair: Pair) -> list[int]:
        """The token ids of a query and a document, which `client` gave."""

    def check_grammar(self, grammar: str) -> None:
        """UsageError if a text cannot follow it; else it is ready for a request that comes now.

        Of an empty one the texts of tokens are ready, where the last stage looks for repetitions.
        """

    def detokenize(self, token_ids: list[int]) -> str:
        """The text of token ids."""

    def model(self) -> ModelInfo:
        """What is known of the model."""

    def adapters(self, scales: Scales | None) -> tuple[AdapterInfo, ...]:
        """All adapters, with the scales of requests that name none; these are `scales` from now on, unless it is None.

        UsageError for one that is not there.
        """

    def vocabulary(self) -> VocabularyTable:
        """All tokens of the model."""

    def status(self) -> ClusterStatus:
        """The cluster now."""

    def slots(self) -> tuple[SlotStatus, ...]:
        """What each slot is used for now."""

    def intervals(self) -> Sequence[StepTiming]:
        """The recorded steps of the last window."""

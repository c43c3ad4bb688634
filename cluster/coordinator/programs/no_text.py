"""What clients may ask of models that make text, as a program answers it: with an error that says so."""

from __future__ import annotations

from typing import NoReturn

from cluster.api.embedding import Pooling
from cluster.api.errors import UnsupportedModelError, UsageError
from cluster.api.lists import Scales
from cluster.api.model import AdapterInfo, VocabularyTable
from cluster.api.prompt import Pair, Segments
from cluster.api.sampling import SamplingParams
from cluster.messages.pictures import PicturedPrompt
from cluster.wire.inference.backend import Cancel, EmbedSink, EventSink, LogitsSink
from cluster.wire.limits import MAX_TEXT_BYTES


class NoText:
    """The part of `wire.inference.backend.InferenceBackend` that is about text."""

    def __init__(self, name: str) -> None:
        """`name`: of the program, to show."""
        self._name = name

    @property
    def max_prompt_bytes(self) -> int:
        """No text is too long to be told that there is none."""
        return MAX_TEXT_BYTES

    @property
    def takes_pictures(self) -> bool:
        """They are for texts."""
        return False

    def generate(
        self,
        prompt: list[int] | PicturedPrompt,
        params: SamplingParams,
        sink: EventSink,
        client: str = "",
        ticket: bytes = b"",
    ) -> Cancel:
        self._refuse("generate")

    def resume(self, ticket: bytes, num_received: int, sink: EventSink) -> Cancel | None:
        """There is none."""
        return None

    def logits(self, token_ids: list[int], sink: LogitsSink, client: str = "") -> Cancel:
        self._refuse("logits")

    def embed(self, token_ids: list[int], pooling: Pooling | None, sink: EmbedSink, client: str = "") -> Cancel:
        self._refuse("embed")

    async def tokenize(self, client: str, field: str, segments: Segments, add_special: bool) -> list[int]:
        self._refuse(field)

    async def pictured(self, client: str, field: str, segments: Segments, add_special: bool) -> PicturedPrompt:
        self._refuse(field)

    async def tokenize_pair(self, client: str, pair: Pair) -> list[int]:
        self._refuse("rerank")

    def check_grammar(self, grammar: str) -> None:
        self._refuse("grammar")

    def detokenize(self, token_ids: list[int]) -> str:
        self._refuse("detokenize")

    def vocabulary(self) -> VocabularyTable:
        self._refuse("vocabulary")

    def adapters(self, scales: Scales | None) -> tuple[AdapterInfo, ...]:
        """There are none."""
        if scales:
            raise UsageError(f"scales: {self._name} has no adapters; leave them out")
        return ()

    def _refuse(self, what: str) -> NoReturn:
        raise UnsupportedModelError(f"{what}: {self._name} is a program, which makes no text; ask it to run")

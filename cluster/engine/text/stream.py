"""TextStream: from the sampled tokens of one request to its text, and to the reason why it ends."""

from __future__ import annotations

from cluster.api.results import FinishReason
from cluster.api.sampling import SamplingParams
from cluster.engine.text.detokenizer import Detokenizer
from cluster.engine.text.finish import ends_text, finish_after
from cluster.engine.text.stop_strings import StopStrings
from cluster.engine.text.vocabulary import Vocabulary


class TextStream:
    """The pieces that it returns, joined, are the final text: whole characters, nothing of a stop string."""

    def __init__(
        self, vocabulary: Vocabulary, params: SamplingParams, num_prompt_tokens: int, context_length: int
    ) -> None:
        self._vocabulary = vocabulary
        self._params = params
        self._num_prompt_tokens = num_prompt_tokens
        self._context_length = context_length
        self._num_generated = 0
        self._detokenizer = Detokenizer()
        self._stop = StopStrings(params.stop)

    def push(self, token: int) -> tuple[str, FinishReason | None]:
        """The text that this token completes, and why the text ends with it. An end token adds no text."""
        self._num_generated += 1
        if ends_text(token, self._params, self._vocabulary.end_tokens):
            return self.flush(), FinishReason.STOP
        text = self._stop.push(self._detokenizer.push(self._vocabulary.token_bytes(token)))
        num_tokens = self._num_prompt_tokens + self._num_generated
        reason = finish_after(self._params, self._num_generated, num_tokens, self._context_length)
        if reason is not None:
            text += self.flush()
        return text, FinishReason.STOP if self._stop.matched else reason

    def flush(self) -> str:
        """The text that was held back. Nothing may be pushed after it."""
        return self._stop.push(self._detokenizer.flush()) + self._stop.flush()

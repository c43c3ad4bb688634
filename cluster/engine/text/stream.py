"""TextStream: from the sampled tokens of one request to its text, and to the reason why it ends."""

from __future__ import annotations

from cluster.api.results import FinishReason
from cluster.api.sampling import SamplingParams
from cluster.engine.text.finish import ends_text, finish_after
from cluster.engine.text.vocabulary import Vocabulary
from ggml.sampling.detokenizer import Detokenizer
from ggml.sampling.stop_strings import StopStrings


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
        self._shown = frozenset(params.shown_tokens)
        self._detokenizer = Detokenizer()
        self._stop = StopStrings(params.stop)

    @property
    def stop_string(self) -> str | None:
        """The one that ended the text."""
        return self._stop.matched

    def push(self, token: int) -> tuple[str, FinishReason | None]:
        """The text that this token completes, and why the text ends with it. An end token adds no text."""
        self._num_generated += 1
        may_stop = self._num_generated > self._params.min_tokens
        if (may_stop or self._params.grammar) and ends_text(token, self._params, self._vocabulary.end_tokens):
            return self.flush(), FinishReason.STOP
        text = self._detokenizer.push(self._vocabulary.token_bytes(token, token in self._shown))
        if may_stop:
            text = self._stop.push(text)
        num_tokens = self._num_prompt_tokens + self._num_generated
        reason = finish_after(self._params, self._num_generated, num_tokens, self._context_length)
        if reason is not None:
            text += self.flush()
        return text, reason if self._stop.matched is None else FinishReason.STOP

    def flush(self) -> str:
        """The text that was held back. Nothing may be pushed after it."""
        return self._stop.push(self._detokenizer.flush()) + self._stop.flush()

"""One prompt and its text: what is fed to the model, and when the text ends."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import replace

from ggml.core.errors import ArgumentError
from ggml.generation.results import FinishReason, TokenEvent
from ggml.generation.tokenizer import Tokenizer
from ggml.sampling.params import SamplingParams
from ggml.sampling.stop_strings import StopStrings
from worker_native import Sampled

_NO_TOKENS: Set[int] = frozenset()


class Text:
    """The tokens of a prompt and of its text so far. ``finish_reason`` is set when the text has ended."""

    def __init__(
        self, number: int, prompt: Sequence[int], params: SamplingParams, tokenizer: Tokenizer | None, context: int
    ) -> None:
        self.number, self.params, self.context = number, params, context
        self.tokens = list(prompt)
        self.num_prompt_tokens = len(prompt)
        self.finish_reason: FinishReason | None = None
        if params.max_tokens == 0:
            self.finish_reason = "length"
        elif len(prompt) >= context:
            self.finish_reason = "context"
        self._ends = tokenizer.end_tokens if tokenizer else _NO_TOKENS
        self._pieces = tokenizer.pieces() if tokenizer else None
        self._stop = StopStrings(params.stop)

    @property
    def num_generated(self) -> int:
        return len(self.tokens) - self.num_prompt_tokens

    def drawn(self, found: Sampled) -> TokenEvent:
        """The event of a new token."""
        self.tokens.append(found.token)
        may_stop = self.num_generated > self.params.min_tokens
        if may_stop and self._is_end(found.token):
            text, self.finish_reason = self._flush(), "stop"
        else:
            text = self._pieces.push(found.token) if self._pieces else ""
            text = self._stop.push(text) if may_stop else text
            self.finish_reason = self._full()
            if self.finish_reason is not None:
                text += self._flush()
            if self._stop.matched is not None:
                self.finish_reason = "stop"
        return TokenEvent(self.number, found.token, text, found.logprob, tuple(found.top), self.finish_reason)

    def ended(self) -> TokenEvent:
        """The event of a text without a token."""
        return TokenEvent(self.number, None, "", math.nan, (), self.finish_reason)

    def _is_end(self, token: int) -> bool:
        return (token in self._ends and not self.params.ignore_eos) or token in self.params.stop_token_ids

    def _full(self) -> FinishReason | None:
        if self.params.max_tokens is not None and self.num_generated >= self.params.max_tokens:
            return "length"
        return "context" if len(self.tokens) >= self.context else None

    def _flush(self) -> str:
        return self._stop.push(self._pieces.flush() if self._pieces else "") + self._stop.flush()


def completed(params: SamplingParams, tokenizer: Tokenizer | None, seed: int) -> SamplingParams:
    """With a seed, and with the model's end tokens where these are not to be drawn. ArgumentError for stop strings
    without a tokenizer."""
    if params.stop and tokenizer is None:
        raise ArgumentError("generate", "stop", "needs a tokenizer: without one there is no text; give stop_token_ids")
    ends = sorted(tokenizer.end_tokens) if tokenizer else []
    biases, stops = params.logit_bias, params.stop_token_ids
    if params.ignore_eos:
        biases = (*biases, *((token, -math.inf) for token in ends))
    elif params.min_tokens:
        stops = (*stops, *ends)
    kept = params.seed if params.seed is not None else seed
    return replace(params, seed=kept, logit_bias=biases, stop_token_ids=stops)

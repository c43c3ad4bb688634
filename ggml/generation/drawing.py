"""Draws of a batch: the sampler of the cluster's stages, on logits that a model of ours gave."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import ArgumentError
from ggml.generation.text import Text
from ggml.generation.tokenizer import Tokenizer
from worker_native import Sampled, Sampler, SamplerParams

#: Takes the tokens so far and the logits [vocabulary] of what follows, float32 and its own to change; gives logits.
LogitsProcessor = Callable[[Sequence[int], NDArray[np.float32]], NDArray[np.float32]]


class Drawing:
    """A slot for each text of a batch. What is drawn depends on seed, position, logits and tokens alone."""

    def __init__(
        self,
        texts: Sequence[Text],
        vocab_size: int,
        context: int,
        tokenizer: Tokenizer | None,
        processors: Sequence[LogitsProcessor],
    ) -> None:
        self._texts, self._processors = texts, processors
        self._sampler = Sampler(vocab_size=vocab_size, n_slots=len(texts), n_ctx=context)
        if tokenizer is not None and any(text.params.dry_multiplier > 0 for text in texts):
            pieces = tokenizer.token_bytes()[:vocab_size]
            self._sampler.name_tokens(pieces + [b""] * (vocab_size - len(pieces)))
        try:
            for slot, text in enumerate(texts):
                given = {name: getattr(text.params, name) for name in SamplerParams.names}
                self._sampler.set(slot, SamplerParams(**given), text.num_prompt_tokens)
        except ValueError as error:
            raise ArgumentError("generate", "params", f"do not go with this model: {error}") from None

    def keep(self, tokens: NDArray[np.int64], start: int) -> None:
        """Note the tokens [texts, n] at the positions from ``start``: penalties look at them."""
        num_texts, count = tokens.shape
        positions = np.tile(np.arange(start, start + count, dtype=np.int32), num_texts)
        slots = np.repeat(np.arange(num_texts, dtype=np.int32), count)
        self._sampler.keep(np.ascontiguousarray(tokens.reshape(-1), np.int32), positions, slots)

    def draw(self, logits: NDArray[np.float32], slots: Sequence[int], position: int) -> list[Sampled]:
        """What follows that position in the texts of these slots. ``logits`` [texts, vocabulary]."""
        rows = np.array(logits, np.float32, order="C", copy=True) if self._processors else logits
        for slot in slots if self._processors else ():
            rows[slot] = self._processed(rows[slot], self._texts[slot].tokens)
        found = self._sampler.sample(np.ascontiguousarray(rows, np.float32), slots, slots, [position] * len(slots))
        for one in found:
            if one.error:
                raise ArgumentError("generate", "logits", f"allow no draw: {one.error}")
        return found

    def _processed(self, row: NDArray[np.float32], tokens: Sequence[int]) -> NDArray[np.float32]:
        for process in self._processors:
            result = np.asarray(process(tokens, row.copy()), np.float32)
            if result.shape != row.shape:
                raise ArgumentError("generate", "a logits processor", f"gave {result.shape} instead of {row.shape}")
            row = result
        return row

"""What a model takes and gives, as the loop of generation asks for it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.grad_mode import no_grad
from ggml.generation.modules import ModuleCall
from ggml.generation.programs import ProgramCall
from ggml.nn.module.module import Module
from ggml.tensors.tensor import Tensor

# Tokens that are fed at once: more are hardly faster, and their logits take room.
_MOST_TOKENS = 512

# What a model without a cache is given is as long as a power of two, and not shorter than this, so that few shapes
# are recorded.
_SHORTEST = 16


class Call(Protocol):
    """A model: ``tokens`` int64 [batch, tokens], which stand at ``positions`` int64 [tokens]; logits come back."""

    num_rows: int | None  # the batch that it takes; None for any
    context_length: int | None  # None where it does not tell
    most_tokens: int | None  # of one call; None for any
    least_tokens: int
    keeps: bool  # whether it remembers the tokens before

    def begin(self) -> None: ...
    def __call__(self, tokens: NDArray[np.int64], positions: NDArray[np.int64]) -> Tensor: ...


class Decoder:
    """The texts of a batch, side by side at the same positions."""

    def __init__(self, call: Call, context_length: int) -> None:
        self._call, self.context_length, self.num_rows = call, context_length, call.num_rows
        self.most_tokens = min(call.most_tokens or _MOST_TOKENS, _MOST_TOKENS) if call.keeps else context_length
        self._num_texts, self._num_tokens = 0, 0
        self._tokens = np.zeros((0, 0), np.int64)
        self._pads = True  # a model without a cache is given more than the text, so that few shapes are recorded

    def begin(self, num_texts: int) -> None:
        """Forget all. The next tokens are the first ones of so many texts."""
        self._call.begin()
        self._num_texts, self._num_tokens = num_texts, 0
        self._tokens = np.zeros((self.num_rows or num_texts, 0), np.int64)

    @no_grad()
    def feed(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """The next tokens [texts, n] of each text; the logits [texts, vocabulary] of what follows the last."""
        rows = np.zeros((len(self._tokens), tokens.shape[1]), np.int64)
        rows[: len(tokens)] = tokens
        start = self._num_tokens if self._call.keeps else 0
        self._num_tokens += tokens.shape[1]
        if not self._call.keeps:
            self._tokens = rows = np.concatenate([self._tokens, rows], 1)
        given = rows if self._call.keeps or not self._pads else self._padded(rows)
        logits = self._logits(given, start)
        if logits.ndim == 2 and given.shape != rows.shape:  # of a token behind the end: this model has to see it alone
            self._pads = False
            logits = self._logits(rows, start)
        if logits.ndim == 3:
            logits = logits[:, self._num_tokens - 1 - start]
        found: NDArray[np.float32] = logits.float().cpu().numpy()[: self._num_texts]
        return found

    def _logits(self, given: NDArray[np.int64], start: int) -> Tensor:
        """Of each token [texts, tokens, vocabulary], or of the last one [texts, vocabulary]."""
        logits = self._call(given, np.arange(start, start + given.shape[1], dtype=np.int64))
        if logits.ndim == 3 and logits.shape[1] == 1:
            logits = logits[:, 0]
        if logits.ndim == 3 and tuple(logits.shape[:2]) != given.shape:
            raise ShapeMismatchError("generate", f"logits {(*given.shape, 'vocabulary')}", tuple(logits.shape))
        if logits.ndim not in (2, 3) or logits.shape[0] != len(given):
            raise ShapeMismatchError("generate", f"logits of {len(given)} texts", tuple(logits.shape))
        return logits

    def _padded(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """With tokens behind the end, which no token of the text may look at."""
        count = tokens.shape[1]
        wanted = max(1 << (count - 1).bit_length(), _SHORTEST, self._call.least_tokens)
        wanted = min(wanted, self._call.most_tokens or wanted)
        padded = np.zeros((len(tokens), wanted), np.int64)
        padded[:, :count] = tokens
        return padded


def decoder_of(model: Any, context_length: int | None, longest: int | None) -> Decoder:
    """A decoder for a program or a module. ``longest``: what is asked for, where that is known.

    DTypeError for neither, ArgumentError for one that takes something else.
    """
    call: Call
    if isinstance(model, Module):
        call = ModuleCall(model)
    elif callable(getattr(model, "run", None)) and hasattr(model, "graph"):
        call = ProgramCall(model)
    else:
        raise DTypeError("generate", "a program or a module of ggml.nn", type(model).__name__)
    if context_length is not None and (isinstance(context_length, bool) or not isinstance(context_length, int)):
        raise DTypeError("generate", "a whole number as context_length", context_length)
    told = [length for length in (context_length, call.context_length) if length is not None]
    if not told and call.keeps:
        why = "must be given: the model has a cache, but does not tell how long it is"
        raise ArgumentError("generate", "context_length", why)
    if not told and longest is None:
        raise ArgumentError("generate", "context_length", "must be given where max_tokens is None")
    length = min(told) if told else longest
    if length is None or length < 1 or (context_length or 1) > (call.context_length or length):
        why = f"is {context_length}; this model takes 1 to {call.context_length} tokens"
        raise ArgumentError("generate", "context_length", why)
    return Decoder(call, length)

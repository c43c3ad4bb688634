"""Following a grammar: which tokens may come next, from the first token that was drawn on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llguidance import LLMatcher
from llguidance.numpy import fill_next_token_bitmask
from numpy.typing import NDArray

from cluster.api.errors import ClusterError, UsageError
from cluster.grammar.grammar import check_size
from cluster.grammar.parser_limits import parser_limits
from cluster.grammar.vocabulary import GrammarVocabulary
from cluster.terminal.printable import printable

MaskWords = NDArray[np.int32]
MAX_REASON_CHARS = 300


class Matcher:
    """A grammar, and the tokens that follow it so far. One thread at a time.

    It is nothing but the grammar and these tokens: `Matcher.of` and `advance` make it again anywhere.
    """

    def __init__(self, native: LLMatcher, vocabulary: GrammarVocabulary, text: str) -> None:
        """Use `of`."""
        self._start = native  # before the first token
        self._native = native.deep_copy()
        self._vocabulary = vocabulary
        self._num_native = 0  # tokens that the native matcher has; none behind the end of the text
        self.text = text
        self.tokens: list[int] = []

    @classmethod
    def of(cls, vocabulary: GrammarVocabulary, text: str) -> Matcher:
        """UsageError if the grammar does not compile. That may take for ever, but `cluster.grammar.check` ends."""
        check_size(text)
        native = LLMatcher(vocabulary.native, text, log_level=0, limits=parser_limits())
        if native.is_error():
            raise UsageError(f"grammar: {_reason(native)}; correct it")
        return cls(native, vocabulary, text)

    def fresh(self) -> Matcher:
        """Another one of the same grammar, without tokens: microseconds instead of compiling it."""
        return Matcher(self._start, self._vocabulary, self.text)

    def behind(self, prefix: str) -> Matcher:
        """Another one, of what may follow `prefix` in this grammar. UsageError if the grammar has no such text."""
        native = self._start.deep_copy()
        tokens = self._vocabulary.native.greedy_tokenize(prefix)
        is_spelt = self._vocabulary.native.decode_bytes(tokens) == prefix.encode()
        if not is_spelt or native.try_consume_tokens(tokens) != len(tokens):
            raise UsageError(
                "grammar: it has no text that begins as the answer does; begin it otherwise, or not at all"
            )
        return Matcher(native, self._vocabulary, self.text)

    @property
    def has_ended(self) -> bool:
        """Nothing may follow but an end token."""
        return self._native.is_stopped()

    def advance(self, token: int) -> bool:
        """Take one more token; False if the grammar does not allow it, and then nothing has changed.

        ClusterError if the grammar has become too much to follow; it stays so.
        """
        if self._native.is_error():  # which has stopped, too
            raise self._error()
        if self._native.is_stopped():
            if token not in self._vocabulary.end_tokens:
                return False
        elif self._native.try_consume_tokens([token]) == 1:
            self._num_native += 1
        elif self._native.is_error():
            raise self._error()
        else:
            return False
        self.tokens.append(token)
        return True

    def rewind(self, length: int) -> None:
        """Keep the first `length` tokens."""
        if length >= len(self.tokens):
            return
        kept, extra = self.tokens[:length], self._num_native - length
        if extra > 0 and not self._native.is_error() and self._native.rollback(extra):
            self._num_native, self.tokens = length, kept
        elif extra <= 0:
            self.tokens = kept
        else:  # grammars with limits of their own cannot go back
            self._native, self._num_native, self.tokens = self._start.deep_copy(), 0, []
            self.replay(kept)

    def replay(self, tokens: Sequence[int]) -> None:
        """Take these tokens, which were drawn before. ClusterError if they do not follow the grammar."""
        for token in tokens:
            if not self.advance(token):
                raise ClusterError(f"grammar: token {token} does not follow it, though it was drawn; report a bug")

    @property
    def num_mask_words(self) -> int:
        return self._vocabulary.num_mask_words

    def fill(self, mask: MaskWords) -> None:
        """Set `mask` to what may come next. ClusterError if the grammar has become too much to follow."""
        fill_next_token_bitmask(self._native, mask[np.newaxis])
        if self._native.is_error():  # the mask lets end tokens through then, and nothing else
            raise self._error()

    def forbid_end(self, mask: MaskWords, stops: Sequence[int]) -> None:
        """Take end tokens and `stops` out of a mask, if that leaves anything: a text that can go on does."""
        if self._native.is_stopped():
            return
        left = mask.copy()
        words = left.view(np.uint32)
        for token in (*self._vocabulary.end_tokens, *stops):
            words[token >> 5] &= np.uint32(0xFFFFFFFF ^ (1 << (token & 31)))
        if left.any():
            mask[:] = left

    def _error(self) -> ClusterError:
        return ClusterError(f"grammar: it cannot be followed any more ({_reason(self._native)}); make it simpler")


def _reason(native: LLMatcher) -> str:
    return printable(" ".join(native.get_error().split()))[:MAX_REASON_CHARS]

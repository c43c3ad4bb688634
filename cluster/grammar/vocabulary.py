"""A model's tokens as llguidance looks at them: a trie of their bytes, made once for all grammars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from llguidance import LLTokenizer, TokenizerWrapper

from cluster.api.errors import UsageError

# Longer texts are spelt without asking the model's own tokenizer, which may take a stack of hundreds of bytes for each.
MAX_SPELT_BYTES = 2048
_MARK = "\x02"


class Spelling(Protocol):
    """A model's tokenizer. `worker_native.Vocab` is one."""

    @property
    def num_tokens(self) -> int: ...
    @property
    def end_tokens(self) -> frozenset[int]: ...
    @property
    def special_tokens(self) -> frozenset[int]:
        """Control tokens and unknown ones: no text has them, unless a grammar names them."""

    def token_bytes(self, token: int, render_special: bool = False) -> bytes: ...

    def tokenize(self, text: str, add_special: bool = True, parse_special: bool = False) -> Iterable[int]:
        """ValueError for what it cannot spell."""


class GrammarVocabulary:
    """Takes about 140 MB and a second of CPU time for 150,000 tokens. For any thread."""

    def __init__(self, spelling: Spelling, vocab_size: int) -> None:
        """`vocab_size`: of the logits, which may have more tokens than the tokenizer. UsageError without end tokens."""
        if not spelling.end_tokens:
            raise UsageError("grammar: this model has no end token, with which a text could end; use another model")
        self.vocab_size = vocab_size
        self.end_tokens = tuple(sorted(token for token in spelling.end_tokens if token < vocab_size))
        num_known = min(spelling.num_tokens, vocab_size)
        pieces = [spelling.token_bytes(token, True) for token in range(num_known)]
        pieces += [b""] * (vocab_size - num_known)
        speller = _Speller(spelling, pieces, self.end_tokens)
        self.native = LLTokenizer(TokenizerWrapper(speller), eos_token=list(self.end_tokens))
        speller.greedy = self.native.greedy_tokenize

    @property
    def num_mask_words(self) -> int:
        """32-bit words of a mask, as `worker_native.Sampler.sample` takes it."""
        return -(-self.vocab_size // 32)


class _Speller:
    """What llguidance asks for the tokens of a text that has to follow, in the form that it has names for."""

    def __init__(self, spelling: Spelling, pieces: list[bytes], end_tokens: Sequence[int]) -> None:
        self._spelling = spelling
        self.tokens = pieces
        self.special_token_ids = sorted({*spelling.special_tokens, *end_tokens} & set(range(len(pieces))))
        self.bos_token_id = None
        self.eos_token_id = end_tokens[0]
        self.greedy = _nothing

    def __call__(self, text: bytes) -> list[int]:
        """As the model would spell it. What is forced is drawn so, since masks let nothing else through."""
        if len(text) <= MAX_SPELT_BYTES:
            spelt = text.decode(errors="replace")
            for before in ("", _MARK):  # some tokenizers put a space in front of a text
                found = self._spelt(before, spelt)
                if found is not None and self._bytes_of(found) == text:
                    return found
        return self.greedy(text.decode(errors="replace"))

    def _spelt(self, before: str, text: str) -> list[int] | None:
        """The tokens of `text` behind `before`; None if they are not separate."""
        try:
            tokens = [int(token) for token in self._spelling.tokenize(before + text, False, False)]
        except (ValueError, RuntimeError):
            return None
        if not before:
            return tokens
        for count in range(1, len(tokens)):
            if self._bytes_of(tokens[:count]).lstrip(b" ") == before.encode():
                return tokens[count:]
        return None

    def _bytes_of(self, tokens: Sequence[int]) -> bytes:
        return b"".join(self.tokens[token] for token in tokens if token < len(self.tokens))


def _nothing(text: str) -> list[int]:
    return []

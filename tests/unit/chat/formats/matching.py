"""Whether a grammar takes a text: llguidance's matcher over a vocabulary of bytes and a few control tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence

from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from cluster.api.model import TokenKind, VocabularyTable
from cluster.chat.formats.control import ControlTokens

END = 256  # the token that ends a text


class Bytes:
    """256 tokens of a byte each, the end, and control tokens by their names."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = list(names)
        self.tokens = [bytes([value]) for value in range(256)] + [b"<end of text>", *(name.encode() for name in names)]
        self.eos_token_id = END
        self.bos_token_id = None
        self.special_token_ids = list(range(256, len(self.tokens)))
        self.vocabulary = VocabularyTable(
            tuple(self.tokens), (*[TokenKind.NORMAL] * 256, *[TokenKind.CONTROL] * (len(self.tokens) - 256))
        )
        self.control = ControlTokens(self.vocabulary, (END,))
        self._tokenizer = LLTokenizer(TokenizerWrapper(self), eos_token=[END])

    def __call__(self, text: bytes) -> list[int]:
        return list(text)

    def encode(self, text: str) -> list[int]:
        names = "|".join(map(re.escape, sorted(self.names, key=len, reverse=True))) or "(?!)"
        ids: list[int] = []
        begin = 0
        for found in re.finditer(names, text):
            ids += text[begin : found.start()].encode()
            ids.append(257 + self.names.index(found.group()))
            begin = found.end()
        return ids + list(text[begin:].encode())

    def matcher(self, grammar: str) -> LLMatcher:
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0)
        assert not matcher.is_error(), f"{matcher.get_error()}\n{grammar}"
        return matcher

    def taken(self, grammar: str, text: str) -> str:
        """How much of the text the grammar takes."""
        ids = self.encode(text)
        num_taken = self.matcher(grammar).validate_tokens(ids)
        return b"".join(self.tokens[token] for token in ids[:num_taken]).decode("utf-8", "replace")

    def takes(self, grammar: str, text: str) -> bool:
        """Whether it takes all of it, and the text may end there."""
        matcher = self.matcher(grammar)
        ids = self.encode(text)
        return matcher.validate_tokens(ids) == len(ids) and matcher.consume_tokens(ids) and matcher.is_accepting()

"""A tokenizer of bytes and some words: what grammars need to know of a model."""

from __future__ import annotations

WORDS = (b"hello", b" world", b'{"', b'":', b"true", b"ab", b"abc", "é".encode())
NAMES = (b"<end>", b"<turn>", b"<call>")


class ByteSpelling:
    """Implements `cluster.grammar.vocabulary.Spelling`: tokens 0..255 are bytes, then come words, then special ones."""

    def __init__(self, space_in_front: bool = False) -> None:
        """`space_in_front`: as tokenizers of words do, it puts a space before every text."""
        self.pieces = [bytes([byte]) for byte in range(256)] + [*WORDS, *NAMES]
        self.num_tokens = len(self.pieces)
        self.special_tokens = frozenset(map(self.token, NAMES))
        self.end_tokens = frozenset({self.token(b"<end>"), self.token(b"<turn>")})
        self.num_asked = 0
        self._space = b" " if space_in_front else b""

    def token(self, piece: bytes) -> int:
        return self.pieces.index(piece)

    def token_bytes(self, token: int, render_special: bool = False) -> bytes:
        return self.pieces[token] if render_special or token not in self.special_tokens else b""

    def tokenize(self, text: str, add_special: bool = True, parse_special: bool = False) -> list[int]:
        self.num_asked += 1
        rest, found = self._space + text.encode(), []
        while rest:
            token = max(
                (token for token, piece in enumerate(self.pieces) if rest.startswith(piece)),
                key=lambda token: len(self.pieces[token]),
            )
            found.append(token)
            rest = rest[len(self.pieces[token]) :]
        return found

    def text(self, tokens: list[int]) -> bytes:
        return b"".join(self.token_bytes(token) for token in tokens)

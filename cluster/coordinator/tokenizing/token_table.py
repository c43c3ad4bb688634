"""The vocabulary as the coordinator holds it: plain bytes, so that no text of a client meets libllama here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from cluster.api.errors import UsageError


@dataclass(frozen=True, slots=True)
class TokenTable:
    """An `engine.Vocabulary`. Set by the tokenizer's process.

    Attributes:
        pieces: the bytes that each token adds to a text; none for control tokens.
        bos: the token that begins a text; None if there is none.
        end_tokens: tokens that end a text.
        longest_bytes: most bytes of a text that one token stands for, names of control tokens among them.
        names: of control tokens, by token.
        kinds: what each token is for, a byte each, as GGUF numbers it.
        vocab_type: libllama's number.
        adds_bos: BOS is put before a text.
        eos: the token that ends a text; None if there is none.
    """

    pieces: tuple[bytes, ...]
    bos: int | None
    end_tokens: Set[int]
    longest_bytes: int
    names: Mapping[int, bytes] = field(default_factory=dict)
    kinds: bytes = b""
    vocab_type: int = 0
    adds_bos: bool = False
    eos: int | None = None

    @property
    def num_tokens(self) -> int:
        return len(self.pieces)

    def token_bytes(self, token: int, render_special: bool = False) -> bytes:
        return self.names.get(token, self.pieces[token]) if render_special else self.pieces[token]

    def text(self, token_ids: Sequence[int], max_bytes: int) -> str:
        """Text of token ids; bytes that are no UTF-8 become U+FFFD. UsageError, also for more than `max_bytes`."""
        size = self.num_tokens
        for token in token_ids:
            if not 0 <= token < size:
                raise UsageError(f"token_ids: {token} is outside of the vocabulary; give ids from 0 to {size - 1}")
        num_bytes = sum(map(len, map(self.pieces.__getitem__, token_ids)))
        if num_bytes > max_bytes:
            raise UsageError(f"token_ids: they are {num_bytes} bytes of text; give ids of at most {max_bytes} at once")
        return b"".join(map(self.pieces.__getitem__, token_ids)).decode("utf-8", "replace")
